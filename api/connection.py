"""uvicorn's HTTP/1.1 connection, and what it leaves open: how large a head may be, and how long a silent client stays."""

import asyncio
import json
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.errors import HeadTooLargeError, MalformedError, StalledError
from api.problems import MEDIA_TYPE, document
from jobs.errors import EssaimError

MAX_HEAD_BYTES = 64 * 1024  # path and header fields together; proxies commonly take 8 to 32 KiB


class BoundedConnection(HttpToolsProtocol):
    """Refuses an endless head, a head that does not come, and a body that goes on long after its request was refused.

    What the app never sees is a problem (RFC 9457) here too.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._head = 0
        self._refused = self._offered = False
        self._refusal: EssaimError | None = None
        self._between()
        self._give(self._silent)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        head = self._head
        offered = self._feed(data)
        while offered is not None and not self._refused:
            offered = self._feed(offered)
        if self._in_head and self._head == head:  # else most of this was a body
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self._refused and not self.transport.is_closing():
                self._refuse(HeadTooLargeError(f"path and header fields have more than {MAX_HEAD_BYTES} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _feed(self, data: bytes) -> bytes | None:
        """Parse what came. Returns what to parse next where the parser has stopped at a head that offers another protocol.

        It takes what follows such a head for that protocol. No other is spoken here, so the offer is ignored (RFC 9110
        §7.8): the head is parsed again without it, and what follows is its body.
        """
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            if self._refused:
                return None
            rest = data[stopped.args[0] :]
            fields = [(name, value) for name, value in self.headers if name != b"upgrade"]
            lines = b"".join(b"%s: %s\r\n" % field for field in fields)
            start = b"%s %s HTTP/%s" % (self._method, self.url, self._version)
            self.parser = httptools.HttpRequestParser(self)
            self._offered, self._in_head = False, True
            return start + b"\r\n" + lines + b"\r\n" + rest
        except httptools.HttpParserError:
            if not self._refused:
                self.send_400_response("the request is not HTTP/1.1")
        return None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._give(self._silent)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: uvicorn would keep any number of them, and nobody reads them
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._refused:  # the parser goes on to the end of what has come: nothing behind a refused head is run
            return
        self._stop_timer()
        self._method, self._version = self.parser.get_method(), self.parser.get_http_version().encode()
        if self._method == b"CONNECT":
            self._refuse(MalformedError("CONNECT is for proxies, and this is none"))
            return
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self._version != b"1.0"):
            self._refuse(MalformedError(f"a request has one Host field, and this one has {hosts or 'none'}"))
            return
        self._in_head = False
        self._offered = self.parser.should_upgrade()
        if not self._offered:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._offered or self._refused:
            return
        self._between()
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or not self.cycle.response_complete:  # the next one is being answered
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif not self._in_head:
            self._linger()

    def send_400_response(self, msg: str) -> None:
        self._refuse(MalformedError(msg))

    def _between(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._head += 1

    def _linger(self) -> None:
        """Take and drop what still comes: a client may read our answer only once it has sent everything."""
        self._give(self.transport.abort)

    def _silent(self) -> None:
        self._refuse(StalledError("the head of the request did not come to its end"))

    def _give(self, then: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.config.idle_seconds, then)  # type: ignore[attr-defined]  # ServerConfig

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: EssaimError) -> None:
        open_request = self.cycle is not None and not self.cycle.response_complete
        if open_request and (self._in_head or self.pipeline):  # those before it are answered first, each as a whole
            self._refused, self._refusal = True, error
            return
        if open_request and self.cycle.response_started:
            self.transport.abort()  # in the middle of another response there is no place for a problem
            return
        problem = document(error, "")
        body = json.dumps(problem).encode()
        head = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % field for field in [*self.server_state.default_headers, *head])
        self.transport.write(STATUS_LINE[int(str(problem["status"]))] + lines + b"\r\n" + body)
        self.transport.write_eof()
        self._refused = True
        self._linger()
        if self.cycle is not None:  # a request that breaks off in its body is over for its route too
            self.cycle.disconnected = not self.cycle.response_complete
            self.cycle.message_event.set()
