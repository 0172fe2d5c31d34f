"""HTTP/1.1 connections: uvicorn's h11 protocol, stricter about heads, with timeouts for silent clients and an orderly close."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from essaim.errors import EssaimError
from essaim.jobs.settings import Settings
from essaim_api.errors import HeadTooLargeError, MalformedError, StalledError, TransferCodingError
from essaim_api.problems import MEDIA_TYPE, document

MAX_HEAD_BYTES = 64 * 1024  # request line and header fields together; proxies commonly take 8 to 32 KiB
# Longer than proxies keep idle connections: 90 seconds in Go (Knative's queue-proxy, Traefik), 60 in nginx and AWS, 600 in
# Google Cloud. If the server closed first, the proxy might just be sending a request, and a POST would become a 502.
IDLE_CONNECTION_SECONDS = 620
LINGER_BYTES = 1024**3  # as much is discarded at most from a client that goes on sending after its answer
TOO_LARGE = f"path and header fields together have more than {MAX_HEAD_BYTES} bytes"
CODING = "send the body with Content-Length or Transfer-Encoding: chunked; no other transfer coding is supported"
HOST = rb"(\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(:[0-9]*)?"
ABSOLUTE = re.compile(rb"https?://(?P<host>" + HOST + rb")(?P<target>[/?].*)?", re.IGNORECASE | re.ASCII)


class RequestParser(h11.Connection):
    """h11 that keeps the last `error`, ignores an empty line before a request (RFC 9112 §2.2), and also refuses
    what h11 lets through: RFC 9110 §7, RFC 9112 §3 and §6.1."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self.error: EssaimError | None = None
        self._skipped = False

    def next_event(self) -> Any:
        try:
            if self.their_state is h11.IDLE and not self._skipped:  # one empty line before a request is ignored
                begin = self.trailing_data[0][:3]
                if begin in (b"\r", b"\r\n"):
                    return h11.NEED_DATA
                if begin.startswith(b"\r\n"):
                    self._skipped = True
                    self._receive_buffer.maybe_extract_at_most(2)
            event = super().next_event()
            if isinstance(event, h11.Request):
                self._skipped = False
                return checked(event)
            return event
        except h11.RemoteProtocolError as error:
            match error.error_status_hint:
                case 431:
                    self.error = HeadTooLargeError(TOO_LARGE)
                case 501:
                    self.error = TransferCodingError(CODING)
                case _:
                    self.error = MalformedError(str(error).partition(": ")[0])  # behind the colon h11 quotes the client
            raise


def checked(request: h11.Request) -> h11.Request:
    """The request, with a path as its target. Raises `h11.RemoteProtocolError`."""
    fields = dict(request.headers)
    size = len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
    if size > MAX_HEAD_BYTES:
        raise h11.RemoteProtocolError(TOO_LARGE, 431)
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("only HTTP/1.1 and HTTP/1.0 are supported")
    if b"host" not in fields and request.http_version != b"1.0":
        raise h11.RemoteProtocolError("the Host header is missing")
    if not re.fullmatch(HOST, fields.get(b"host", b""), re.ASCII):
        raise h11.RemoteProtocolError("the Host header is not a host name with an optional port")
    if b"transfer-encoding" in fields and (b"content-length" in fields or request.http_version == b"1.0"):
        raise h11.RemoteProtocolError("Transfer-Encoding allows neither Content-Length nor HTTP/1.0")
    if request.method == b"CONNECT":
        raise h11.RemoteProtocolError("CONNECT is for proxies, and this is not one")
    target = request.target
    if b"#" in target:
        raise h11.RemoteProtocolError("the request target has a # in it; write %23")
    if target.startswith(b"/") or (target, request.method) == (b"*", b"OPTIONS"):
        return request
    if not (absolute := ABSOLUTE.fullmatch(target)) or not absolute["host"]:
        raise h11.RemoteProtocolError("the request target is neither a path nor an absolute http URL")
    path = absolute["target"] or b""
    return h11.Request(
        method=request.method,
        target=path if path.startswith(b"/") else b"/" + path,
        headers=[(b"host", absolute["host"]), *(field for field in request.headers if field[0] != b"host")],
        http_version=request.http_version,
    )


class ConnectionConfig(uvicorn.Config):
    """uvicorn with these connections, and without its own logs, lifespan, WebSockets and trust in proxies."""

    def __init__(self, app: ASGIApp, settings: Settings, **options: Any) -> None:
        super().__init__(
            app,
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=IDLE_CONNECTION_SECONDS,
            **options,
        )
        self.idle_seconds = settings.idle_seconds
        self.max_lingering = settings.max_open_requests
        self.lingering: set[BoundedConnection] = set()


class Flow(FlowControl):
    """Does not resume reading while `full`."""

    full = False

    def resume_reading(self) -> None:
        if not self.full:
            super().resume_reading()


class LingeringTransport:
    """A transport that is closed at once for those who use it, while `close` may go on reading."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self._close = close
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._close()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()


class BoundedConnection(H11Protocol):
    """Answers malformed HTTP with a problem (RFC 9457), and times out incomplete heads and the bodies of refused requests.

    Requests are read one at a time: while one is open, at most `MAX_HEAD_BYTES` behind it are read from the socket.

    A connection that ends while its client may still be sending is closed for writing only. If it were closed for both, the
    kernel would reset it, and the client would lose the answer (RFC 9112 §9.6). Whatever still comes is discarded, until the
    client closes too, for `idle_seconds` and `LINGER_BYTES` at most, on at most `max_lingering` connections.
    """

    config: ConnectionConfig

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn: RequestParser = RequestParser()
        self.flow: Flow
        self._timer: asyncio.TimerHandle | None = None
        self._timed: object = None  # what the timer is for
        self._discarded: int | None = None  # bytes, once the connection lingers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._socket = transport
        self.transport = LingeringTransport(transport, self._close)  # type: ignore[assignment]  # stands in for it
        self.flow = Flow(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._discarded is not None:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self._socket.abort()
            return
        if self.conn.their_state is h11.MUST_CLOSE:  # nothing after `Connection: close` counts
            return
        super().data_received(data)
        self._watch()

    def handle_events(self) -> None:
        super().handle_events()
        if self._discarded is not None:
            return
        whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)  # further data belongs to the next request
        emptied = self.flow.full
        self.flow.full = whole and len(self.conn.trailing_data[0]) > MAX_HEAD_BYTES
        if self.flow.full:
            self.flow.pause_reading()
        elif whole or emptied:  # otherwise a disconnect would go unnoticed
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.config.lingering.discard(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def shutdown(self) -> None:
        if self._discarded is None:
            super().shutdown()
        else:
            self._socket.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self.conn.error or MalformedError(msg))

    def _watch(self) -> None:
        """Start a timer for what the client still has to send: the rest of a head, or of a body already answered."""
        if self._discarded is not None:
            return
        owed: Callable[[], None] | None = None
        if self.conn.their_state is h11.IDLE and (self.cycle is None or self.conn.trailing_data[0]):
            owed = self._silent
        elif self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY:
            owed = self.transport.abort
        if (owed, self.cycle) != self._timed:  # one timer per head, however slowly its bytes arrive
            self._timed = owed, self.cycle
            self._stop_timer()
            if owed:
                self._give(owed)

    def _silent(self) -> None:
        self._refuse(StalledError("the head of the request was never completed"))

    def _give(self, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.config.idle_seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: EssaimError) -> None:
        """Answer with a problem and read no more. A request that was answered already gets no second answer."""
        open_request = self.cycle is not None and not self.cycle.response_complete
        if open_request and self.cycle.response_started:
            self.transport.abort()  # a problem cannot be sent in the middle of another response
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(self._problem(error))
        self._linger()
        if open_request:  # for its route, the client has disconnected
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _close(self) -> None:
        """What `transport.close()` does."""
        if self._socket.is_closing() or not (
            self.conn.their_state in (h11.SEND_BODY, h11.MUST_CLOSE) or self.conn.trailing_data[0]
        ):
            self._socket.close()
        else:
            self._linger()

    def _linger(self) -> None:
        self._discarded = 0
        self._unset_keepalive_if_required()
        if len(self.config.lingering) >= self.config.max_lingering:
            self._socket.close()
            return
        self.config.lingering.add(self)
        self.flow.full = False
        self.flow.resume_reading()
        self._socket.write_eof()
        self._give(self._socket.close)  # which still sends the rest of an answer that is taken slowly

    def _problem(self, error: EssaimError) -> bytes:
        problem = document(error, "")
        status, body = int(str(problem["status"])), json.dumps(problem).encode()
        head = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % field for field in [*self.server_state.default_headers, *head])
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, STATUS_PHRASES[status], lines, body)
