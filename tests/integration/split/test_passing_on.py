"""A request and its answer go through as they came, piece by piece."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.integration.split.conftest import OK, Connection, Site


@pytest.mark.parametrize(
    "target", [b"/a%2Fb/%E9t%c3%a9?x=%20&y=+&y=", b"/..%2f/../a//b/./c?", b"/v1/texts/a|b^c'(d)", b"/?a=1?b"]
)
async def test_the_address_goes_through_as_it_came(site: Site, target: bytes) -> None:
    await site.exchange(b"GET " + target + b" HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert site.first.seen[0].line == b"GET " + target.rstrip(b"?") + b" HTTP/1.1"


async def test_only_what_is_meant_for_the_other_end_goes_there(site: Site) -> None:
    async def answer(connection: Connection) -> None:
        await connection.write(
            b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nX-Kept: 1\r\nX-Kept: 2\r\nConnection: keep-alive, X-Named\r\n"
            b"Keep-Alive: timeout=5\r\nX-Named: no\r\nTrailer: X-End\r\nServer: theirs\r\nDate: then\r\n\r\n"
        )

    site.first.answer = answer
    found = await site.exchange(
        b"DELETE / HTTP/1.1\r\nHost: here\r\nConnection: close, X-Mine\r\nX-Mine: no\r\nTE: trailers\r\nUpgrade: h2c\r\n"
        b"Proxy-Authorization: no\r\nAuthorization: Bearer yes\r\nX-Request-ID: yes\r\n\r\n"
    )
    got = site.first.seen[0].headers
    assert (got[b"host"], got[b"authorization"], got[b"x-request-id"]) == (b"here", b"Bearer yes", b"yes")
    assert got[b"via"] == b"1.1 essaim"
    assert not got.keys() & {b"x-mine", b"te", b"upgrade", b"proxy-authorization", b"connection", b"accept-encoding"}
    head = found.lower().partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"http/1.1 201 created"
    assert [line for line in head if line.startswith(b"x-")] == [b"x-kept: 1", b"x-kept: 2"]
    assert [line for line in head if line.startswith((b"server", b"date"))] == [b"server: theirs", b"date: then"]
    assert not [line for line in head if line.startswith((b"keep-alive", b"trailer"))]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_goes_through(site: Site, method: str) -> None:
    async def answer(connection: Connection) -> None:
        length = int(connection.headers.get(b"content-length", b"0"))
        body = await connection.reader.readexactly(length)
        assert body == (b"" if method in ("GET", "HEAD") else b"body")
        await connection.write(OK[:-2] if method == "HEAD" else OK)

    site.first.answer = answer
    content = None if method in ("GET", "HEAD") else b"body"
    answered = await site.http.request(method, "/", content=content)
    assert (answered.status_code, answered.headers["content-length"]) == (200, "2")
    assert answered.content == (b"" if method == "HEAD" else b"ok")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_an_answer_without_a_body_has_none(site: Site, status: bytes) -> None:
    site.first.answer = lambda connection: connection.write(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n")
    answered = await site.http.get("/")
    assert (answered.status_code, answered.headers["etag"], answered.content) == (int(status[:3]), "x", b"")
    assert (await site.http.get("/")).status_code == int(status[:3])  # on the same connection


async def test_a_body_goes_up_piece_by_piece(site: Site) -> None:
    """The second piece is only sent once the release has the first."""
    arrived = asyncio.Event()
    pieces: list[bytes] = []

    async def answer(connection: Connection) -> None:
        assert connection.headers[b"transfer-encoding"] == b"chunked"
        while piece := await connection.chunk():
            pieces.append(piece)
            arrived.set()
        await connection.write(OK)

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await arrived.wait()
        yield b"second"

    site.first.answer = answer
    assert (await site.http.put("/v1/texts/a", content=body())).text == "ok"
    assert pieces == [b"first", b"second"]


async def test_an_answer_comes_down_piece_by_piece(site: Site) -> None:
    """The second event is only sent once the client has the first."""
    heard = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await connection.write(b"9\r\ndata: 1\n\n\r\n")
        await heard.wait()
        await connection.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    site.first.answer = answer
    found = []
    async with site.http.stream("GET", "/v1/jobs/x/events") as stream:
        async for piece in stream.aiter_bytes():
            found.append(piece)
            heard.set()
    assert b"".join(found) == b"data: 1\n\ndata: 2\n\n"
    assert found[0] == b"data: 1\n\n"


@pytest.mark.parametrize(
    "framing", ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
async def test_an_offered_protocol_is_ignored_and_the_body_goes_through(site: Site, framing: str) -> None:
    bodies: list[bytes] = []

    async def answer(connection: Connection) -> None:
        if b"transfer-encoding" in connection.headers:
            while piece := await connection.chunk():
                bodies.append(piece)
        else:
            bodies.append(await connection.reader.readexactly(int(connection.headers.get(b"content-length", b"0"))))
        await connection.write(OK)

    site.first.answer = answer
    head = b"PUT /a HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    last = b"GET /b HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    assert (await site.exchange(head + framing.encode() + last)).count(b"HTTP/1.1 200 OK") == 2
    assert [connection.line for connection in site.first.seen] == [b"PUT /a HTTP/1.1", b"GET /b HTTP/1.1"]
    assert b"".join(bodies) == b"hello"


REFUSED = {
    "no Host": ("GET /a HTTP/1.1\r\n", 400),
    "two Hosts": ("GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
    "a fragment": ("GET /a#b HTTP/1.1\r\nHost: a\r\n", 400),
    "a length and chunks": ("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n", 400),
    "gzip in chunks": ("PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
    "a long value": ("GET /a HTTP/1.1\r\nHost: a\r\nX: " + "y" * 70_000 + "\r\n", 431),
}


@pytest.mark.parametrize(("head", "status"), REFUSED.values(), ids=REFUSED)
async def test_a_malformed_request_gets_a_problem_and_reaches_no_release(site: Site, head: str, status: int) -> None:
    behind = "DELETE /b HTTP/1.1\r\nHost: here\r\n\r\n"
    found, _, body = (await site.exchange(f"{head}\r\n{behind}".encode())).partition(b"\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 %d " % status), found
    assert b"content-type: application/problem+json" in found
    assert json.loads(body)["status"] == status
    assert site.first.seen == []


@pytest.mark.parametrize("beginning", [b"", b"GET /a HTTP/1.1\r\nHost: here\r\n"], ids=["nothing", "half"])
async def test_a_head_that_is_never_completed_is_408(site: Site, beginning: bytes) -> None:
    found = await site.exchange(beginning)
    assert found.startswith(b"HTTP/1.1 408 "), found
    assert b"urn:problem-type:essaim:stalled" in found


async def test_a_client_of_http_1_0_gets_no_chunks(site: Site) -> None:
    site.first.answer = lambda connection: connection.write(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    head, _, body = (await site.exchange(b"GET / HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")
    assert (b"transfer-encoding" in head.lower(), body) == (False, b"ok")


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
async def test_what_follows_an_open_request_leaves_its_answer_whole(site: Site, close: bytes) -> None:
    """The garbage is sent once the release has the request, and is there before the end of the answer."""
    asked, sent = asyncio.Event(), asyncio.Event()

    async def answer(connection: Connection) -> None:
        asked.set()
        await sent.wait()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)

    site.first.answer = answer
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n" + close + b"\r\n")
    await asked.wait()
    writer.write(b"garbage\r\n\r\n")
    await writer.drain()
    sent.set()
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(3_000_000)
    rest = await reader.read()
    writer.close()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"x" * 3_000_000
    assert rest.startswith(b"HTTP/1.1 400 ") != bool(close), rest
