"""The split on one machine as its clients see it: a real process, before servers that write each byte themselves."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollout.local import LocalService
from tests.integration.essaim_command import environment

Eventually = Callable[..., Awaitable[Any]]
Answering = Callable[["Connection"], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Connection:
    """A request that a release has got, as it came."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes

    @property
    def line(self) -> bytes:
        return self.head.split(b"\r\n")[0]

    @property
    def headers(self) -> dict[bytes, bytes]:
        fields = (line.partition(b": ") for line in self.head.split(b"\r\n")[1:] if line)
        return {name.lower(): value for name, _, value in fields}

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self) -> bytes:
        """The next piece of a chunked body; empty at its end."""
        size = int((await self.reader.readline()).strip(), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readline()
        return data


@dataclass
class Release:
    """Answers each request as `answer` does, and keeps the heads of all."""

    answer: Answering
    seen: list[Connection] = field(default_factory=list)
    port: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                connection = Connection(reader, writer, head)
                self.seen.append(connection)
                await self.answer(connection)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):  # the last at the end of a test
            pass
        finally:
            writer.close()


async def ok(connection: Connection) -> None:
    await connection.reader.readexactly(int(connection.headers.get(b"content-length", b"0")))
    await connection.write(OK)


@dataclass
class Site:
    """Two releases, the proxy before them, and a client."""

    service: LocalService
    first: Release
    second: Release
    http: httpx.AsyncClient
    port: int
    process: subprocess.Popen[bytes]

    async def split(self, first: int) -> None:
        traffic = [
            {"revisionName": "essaim-v1", "percent": first},
            {"revisionName": "essaim-v2", "percent": 100 - first},
        ]
        await self.service.patch([{"op": "replace", "path": "/spec/traffic", "value": traffic}])

    async def exchange(self, request: bytes) -> bytes:
        """Send these bytes as they are, and read until the proxy closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        found = await reader.read()
        writer.close()
        return found


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def refused(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return False
    except ConnectionRefusedError:
        return True


@pytest.fixture
async def site(tmp_path: Path, eventually: Eventually) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        releases = [Release(ok), Release(ok)]
        for release in releases:
            server = await stack.enter_async_context(await asyncio.start_server(release.handle, "127.0.0.1", 0))
            stack.callback(server.close)
            release.port = server.sockets[0].getsockname()[1]
        port, service = free(), LocalService(tmp_path / "service.json")
        addresses = {f"v{number}": f"http://127.0.0.1:{it.port}" for number, it in enumerate(releases, start=1)}
        await service.open(f"http://127.0.0.1:{port}", addresses)
        variables = environment(ESSAIM_DATA_DIR=str(tmp_path), ESSAIM_API_PORT=str(port))
        with (tmp_path / "split.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-P", "-m", "rollout"], env=variables, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        url = f"http://127.0.0.1:{port}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False, timeout=60))

        async def listening() -> bool:
            try:
                return (await http.get("/")).status_code == 200
            except httpx.ConnectError:
                return False

        await eventually(listening)
        for release in releases:
            release.seen.clear()
        yield Site(service, *releases, http, port, process)


async def test_a_change_of_the_file_is_followed_at_once_and_exactly(site: Site) -> None:
    for percent in (100, 50, 10, 99, 0):
        await site.split(percent)
        for release in (site.first, site.second):
            release.seen.clear()
        answers = await asyncio.gather(*(site.http.post("/v1/jobs", content=b"{}") for _ in range(100)))
        assert {answer.status_code for answer in answers} == {200}
        assert (len(site.first.seen), len(site.second.seen)) == (percent, 100 - percent)


async def test_other_requests_do_not_upset_the_shares_of_submissions(site: Site) -> None:
    await site.split(50)
    for number in range(20):
        await site.http.post("/v1/jobs", content=b"{}")
        for _ in range(number % 3):
            await site.http.get("/v1/jobs")
    submitted = [connection.line for connection in site.first.seen if connection.line.startswith(b"POST")]
    assert len(submitted) == 10


async def test_a_file_that_cannot_be_used_leaves_all_as_it_was(site: Site, tmp_path: Path) -> None:
    await site.split(0)
    await site.http.get("/")
    good = json.loads(site.service.path.read_text())
    for bad in (
        "{",
        "[]",
        "{}",
        json.dumps({**good, "spec": {"traffic": [{"revisionName": "essaim-v9", "percent": 100}]}}),
    ):
        site.service.path.write_text(bad)
        assert (await site.http.get("/")).text == "ok"
    site.service.path.unlink()
    assert (await site.http.get("/")).text == "ok"
    assert site.first.seen == []
    assert "split.unreadable" in (tmp_path / "split.log").read_text()
    site.service.path.write_text(json.dumps(good))
    await site.split(100)
    await site.http.get("/")
    assert len(site.first.seen) == 1


@pytest.mark.parametrize(
    "target", [b"/a%2Fb/%E9t%c3%a9?x=%20&y=+&y=", b"/..%2f/../a//b/./c?", b"/v1/texts/a|b^c'(d)", b"/?a=1?b#"]
)
async def test_the_address_goes_through_as_it_came(site: Site, target: bytes) -> None:
    await site.exchange(b"GET " + target + b" HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert site.first.seen[0].line == b"GET " + target.rstrip(b"?").partition(b"#")[0] + b" HTTP/1.1"


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


async def test_when_the_client_goes_the_release_hears_of_it(site: Site) -> None:
    gone = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        assert await connection.reader.read() == b""
        gone.set()

    site.first.answer = answer
    async with site.http.stream("GET", "/") as stream:
        assert await anext(stream.aiter_raw()) == b"x"
    await asyncio.wait_for(gone.wait(), 60)


async def test_when_the_client_goes_before_there_is_an_answer_too(site: Site) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def answer(connection: Connection) -> None:
        asked.set()
        assert await connection.reader.read() == b""
        gone.set()

    site.first.answer = answer
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nPrefer: wait=60\r\n\r\n")
    await asyncio.wait_for(asked.wait(), 60)
    writer.close()
    await asyncio.wait_for(gone.wait(), 60)


async def test_a_release_that_says_no_before_all_is_sent_is_heard(site: Site) -> None:
    async def answer(connection: Connection) -> None:
        await connection.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        while await connection.reader.read(65536):
            pass

    site.first.answer = answer
    answered = await site.http.put("/v1/texts/a", content=b"x" * 5_000_000)
    assert (answered.status_code, answered.text) == (413, "big")


async def test_a_release_that_is_away_is_503(site: Site) -> None:
    addresses = {"v1": f"http://127.0.0.1:{free()}", "v2": f"http://127.0.0.1:{site.second.port}"}
    await site.service.open(f"http://127.0.0.1:{site.port}", addresses)
    away = await site.http.get("/v1/jobs?limit=1")
    assert (away.status_code, away.headers["retry-after"]) == (503, "1")
    assert away.headers["content-type"] == "application/problem+json"
    assert away.json() == {
        "type": "urn:problem-type:essaim:release-away",
        "title": "The release does not answer",
        "status": 503,
        "detail": "essaim-v1 cannot be reached now",
        "instance": "/v1/jobs",
    }
    await site.split(0)
    assert (await site.http.get("/")).status_code == 200


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"no HTTP at all\r\n\r\n"])
async def test_a_release_that_breaks_off_before_its_answer_is_502(site: Site, said: bytes) -> None:
    async def answer(connection: Connection) -> None:
        await connection.write(said)
        connection.writer.close()

    site.first.answer = answer
    broken = await site.http.post("/v1/jobs", content=b"{}")
    assert (broken.status_code, broken.json()["status"]) == (502, 502)
    assert broken.json()["type"] == "urn:problem-type:essaim:release-broke-off"
    site.first.answer = ok
    assert (await site.http.get("/")).status_code == 200


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_an_answer_that_is_cut_is_cut_for_the_client_too(site: Site, framing: bytes) -> None:
    """It must not seem whole."""

    async def answer(connection: Connection) -> None:
        await connection.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n3\r\nabc\r\n")
        connection.writer.close()

    site.first.answer = answer
    with pytest.raises(httpx.RemoteProtocolError):
        await site.http.get("/")


async def test_told_to_leave_it_finishes_what_it_has_begun(site: Site, eventually: Eventually) -> None:
    go_on = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
        await go_on.wait()
        await connection.write(b"ok")

    site.first.answer = answer
    async with site.http.stream("GET", "/") as stream:
        os.kill(site.process.pid, signal.SIGTERM)
        await eventually(lambda: refused(site.port))
        go_on.set()
        assert await stream.aread() == b"okok"
    assert await asyncio.to_thread(site.process.wait, 60) == 0
