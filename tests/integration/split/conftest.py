"""The split on one machine as its clients see it: a real process, before servers that write each byte themselves."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from essaim.splitter.service_file import LocalService
from tests.conftest import eventually
from tests.integration.essaim_command import environment

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
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        releases = [Release(ok), Release(ok)]
        for release in releases:
            server = await stack.enter_async_context(await asyncio.start_server(release.handle, "127.0.0.1", 0))
            stack.callback(server.close)
            release.port = server.sockets[0].getsockname()[1]
        port, service = free(), LocalService(tmp_path / "service.json")
        addresses = {f"v{number}": f"http://127.0.0.1:{it.port}" for number, it in enumerate(releases, start=1)}
        await service.open(f"http://127.0.0.1:{port}", addresses)
        variables = environment(ESSAIM_DATA_DIR=str(tmp_path), ESSAIM_API_PORT=str(port), ESSAIM_IDLE_SECONDS="3")
        with (tmp_path / "split.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-P", "-m", "essaim.splitter"], env=variables, stderr=log)
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
