"""Forwards each request to one release, byte for byte, and streams its response back.

For one machine: in a cluster, Knative's own ingress does it. It adds nothing but `Via`, and keeps nothing.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from urllib.parse import urlsplit

import httpcore
from starlette.types import Message, Receive, Scope, Send

from essaim.errors import EssaimError
from essaim.splitter.service_file import LocalService
from essaim.splitter.split import Deck, in_force, shares
from essaim.telemetry import log

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"}
HOP_BY_HOP |= {b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"}
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 2.0  # far less than an API keeps one: a connection must not be closing when it is used again
MALFORMED = "urn:problem-type:essaim:malformed", "The request cannot be read"
AWAY = "urn:problem-type:essaim:release-away", "The release does not answer"
BROKE_OFF = "urn:problem-type:essaim:release-broke-off", "The release broke off"


class GoneError(Exception):
    """The client has disconnected."""


class Split:
    """Picks the release of each request as the file says. While the file cannot be read, the last split stays."""

    def __init__(self, service: LocalService) -> None:
        self._service = service
        self._seen: tuple[int, ...] = ()
        self._addresses: dict[str, str] = {}
        self._decks: dict[bool, Deck] = {}
        self._look()

    def next(self, method: str) -> tuple[str, str]:
        """A revision and its URL. Submissions are dealt separately, so that other requests do not distort their shares."""
        self._look()
        name = self._decks[method == "POST"].deal()
        return name, self._addresses[name]

    def _look(self) -> None:
        try:
            stat = self._service.path.stat()
            seen = stat.st_ino, stat.st_mtime_ns, stat.st_size
            if seen == self._seen:
                return
            self._seen = seen
            service = self._service.read_now()
            found, addresses = shares(in_force(service)), dict(service["status"]["addresses"])
            decks = {submitting: Deck(found) for submitting in (True, False)}
        except (OSError, EssaimError, AttributeError, KeyError, TypeError) as error:
            log("split.unreadable", level=logging.WARNING, reason=error)
            return
        self._addresses, self._decks = addresses, decks
        log("split.changed", shares=", ".join(f"{name} {percent} %" for name, percent in found.items()))


class Proxy:
    """An ASGI app. The caller closes the pool of connections to the releases."""

    def __init__(self, split: Split, pool: httpcore.AsyncConnectionPool) -> None:
        self._split = split
        self._pool = pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        name, address = self._split.next(scope["method"])
        exchange = Exchange(scope, receive, send)
        forwarding = asyncio.create_task(self._forward(exchange, name, address))
        watching = asyncio.create_task(exchange.gone())
        try:
            await asyncio.wait({forwarding, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            forwarding.cancel()  # the client has gone: so does our request, and the release hears of it
            await asyncio.wait({forwarding, watching})
        if not forwarding.cancelled() and (error := forwarding.exception()) and not isinstance(error, GoneError):
            raise error

    async def _forward(self, exchange: "Exchange", name: str, address: str) -> None:
        try:
            async with self._pool.stream(
                exchange.method,
                exchange.target(address),
                headers=exchange.headers(),
                content=exchange.body(),
                extensions={"timeout": {"connect": CONNECT_SECONDS}},
            ) as response:
                await exchange.answer(response.status, _kept(response.headers))
                async for chunk in response.aiter_stream():
                    await exchange.write(chunk)
            await exchange.write(b"", more=False)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            log("release.away", level=logging.WARNING, revision=name, reason=repr(error))
            await exchange.refuse(503, *AWAY, f"{name} cannot be reached now", [(b"retry-after", b"1")])
        except httpcore.LocalProtocolError as error:  # a header field that we took, and a stricter reader does not
            await exchange.refuse(400, *MALFORMED, f"the request cannot be passed on: {error}")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            log("release.broke_off", level=logging.WARNING, revision=name, reason=repr(error))
            if exchange.answered:
                raise  # too late to say so: the server cuts the connection, and the client sees that
            await exchange.refuse(502, *BROKE_OFF, f"{name} began to answer, and did not go on")


class Exchange:
    """One request and its answer, as the client sees them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._read = asyncio.Event()
        self.method: str = scope["method"]
        self.answered = False

    def target(self, address: str) -> httpcore.URL:
        """The path and query exactly as received: decoding an escape could change the meaning."""
        url = urlsplit(address)
        query = self._scope["query_string"]
        path = self._scope["raw_path"] + (b"?" + query if query else b"")
        return httpcore.URL(scheme=url.scheme, host=url.hostname or "", port=url.port, target=path)

    def headers(self) -> Headers:
        via = self._scope["http_version"].encode() + b" essaim"
        return [*_kept(self._scope["headers"]), (b"Via", via)]

    def body(self) -> AsyncIterator[bytes] | None:
        names = {name for name, _ in self._scope["headers"]}
        if names & {b"content-length", b"transfer-encoding"}:
            return self._chunks()
        self._read.set()
        return None

    async def _chunks(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            more = message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk
        self._read.set()

    async def gone(self) -> None:
        """Return once the client has disconnected. Until the body is read, its reader notices instead."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, status: int, headers: Headers) -> None:
        self._read.set()  # of what is still sent nobody wants to know
        self.answered = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes, *, more: bool = True) -> None:
        message: Message = {"type": "http.response.body", "body": chunk, "more_body": more}
        await self._send(message)

    async def refuse(self, status: int, kind: str, title: str, detail: str, headers: Headers | None = None) -> None:
        path = self._scope["raw_path"].decode("latin-1")
        problem = {"type": kind, "title": title, "status": status, "detail": detail, "instance": path}
        body = json.dumps(problem).encode()
        length = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
        with suppress(OSError):
            await self.answer(status, [*length, *(headers or [])])
            await self.write(body, more=False)


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers without hop-by-hop fields, including those that `Connection` names."""
    found = [(name.lower(), value) for name, value in headers]
    named = {part.strip().lower() for name, value in found if name == b"connection" for part in value.split(b",")}
    return [(name, value) for name, value in found if name not in HOP_BY_HOP and name not in named]
