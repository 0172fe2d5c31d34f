"""What is on the wire: offers of other protocols, heads that HTTP refuses, several requests on one connection."""

import asyncio
import fcntl
import re
import socket
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from essaim.jobs.settings import load_settings
from essaim_api.connection import MAX_HEAD_BYTES
from essaim_api.server import HttpServer, listen
from essaim_api.streams import LOOK_SECONDS
from tests.conftest import eventually
from tests.integration.conftest import Serving, Site

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"


async def exchange(site: Site, *segments: bytes) -> bytes:
    """Send each once the server has read the one before, and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        for number, segment in enumerate(segments):
            if number:
                await taken(site, writer)
            writer.write(segment)
            await writer.drain()
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()
        with suppress(OSError):  # reset: it had not read all
            await writer.wait_closed()


async def taken(site: Site, writer: asyncio.StreamWriter) -> None:
    """Wait until the server has read everything that was sent."""
    client = writer.get_extra_info("socket")
    while writer.transport.get_write_buffer_size() or queued(client, termios.TIOCOUTQ) or not was_read(site, client):
        await asyncio.sleep(0.01)


def was_read(site: Site, client: socket.socket) -> bool:
    """Whether the server has read what the kernel has for it."""
    for connection in site.server.server_state.connections:
        if connection.client == client.getsockname():
            return not queued(connection.transport.get_extra_info("socket"), termios.FIONREAD)
    return False


def queued(of: socket.socket, what: int) -> int:
    """How many bytes the kernel holds of what this socket has sent, or is to read."""
    return int.from_bytes(fcntl.ioctl(of.fileno(), what, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("cut", [-1, 30, -30, -6, -5, -4], ids=str)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_an_offered_protocol_is_ignored_and_the_body_is_the_body(site: Site, cut: int, chunked: bool) -> None:
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 5"
    body = "5\r\nhello\r\n0\r\n\r\n" if chunked else "hello"
    message = f"PUT /v1/texts/offered HTTP/1.1\r\nHost: x\r\n{H2C}{framing}\r\n\r\n{body}".encode()
    last = b"GET /v1/texts/offered HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = await exchange(site, message[:cut], message[cut:] + last)
    assert answers.startswith(b"HTTP/1.1 201 ")
    assert answers.endswith(b"\r\n\r\nhello")


async def test_a_request_inside_a_body_behind_an_offer_is_not_run(site: Site) -> None:
    await site.http.put("/v1/texts/precious", content=b"kept")
    inner = b"DELETE /v1/texts/precious HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"PUT /v1/texts/outer HTTP/1.1\r\nHost: x\r\n{H2C}Connection: close\r\nContent-Length: {len(inner)}\r\n\r\n"
    answers = await exchange(site, head.encode(), inner)
    assert answers.count(b"HTTP/1.1 ") == 1
    assert (await site.http.get("/v1/texts/precious")).content == b"kept"
    assert (await site.http.get("/v1/texts/outer")).content == inner


@pytest.mark.parametrize(
    "head",
    [
        "GET /livez HTTP/1.1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /livez HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "PUT /v1/texts/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "GET /livez HTTP/1.1\nX\r\n\r\n",
        "GE\0T /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_a_head_that_http_refuses_is_400_and_the_end_of_the_connection(site: Site, head: str) -> None:
    answers = await exchange(site, head.encode())
    assert answers.startswith(b"HTTP/1.1 400 "), answers
    assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("before", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["alone", "behind another"])
@pytest.mark.parametrize(
    "refused",
    [
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"PUT /v1/texts/other HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
        b"PUT /v1/texts/other HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + H2C.encode() + b"\r\n",
    ],
    ids=["no host", "two hosts", "length", "chunked", "connect", "offer"],
)
async def test_nothing_behind_a_refused_head_is_run(site: Site, before: bytes, refused: bytes) -> None:
    """All of it comes in one segment."""
    await site.http.put("/v1/texts/precious", content=b"kept")
    answers = await exchange(site, before + refused + b"DELETE /v1/texts/precious HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await site.http.get("/v1/texts/precious")).content == b"kept"
    assert (await site.http.get("/v1/texts/other")).status_code == 404
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == ([b"200", b"400"] if before else [b"400"]), answers


async def test_what_is_wrong_behind_an_open_request_is_refused_after_its_answer(site: Site) -> None:
    body = b'{"words": ["x"], "text": "x"}'
    fields = b"Host: x\r\nPrefer: wait=2\r\nContent-Type: application/json\r\nContent-Length: %d" % len(body)
    answers = await exchange(site, b"POST /v1/jobs HTTP/1.1\r\n" + fields + b"\r\n\r\n" + body, b"garbage\r\n\r\n")
    first, _, second = answers.partition(b"HTTP/1.1 400 ")
    assert first.startswith(b"HTTP/1.1 202 "), answers
    assert second, answers


async def test_a_download_is_whole_where_garbage_follows(serving: Serving) -> None:
    content = b"x" * 20_000_000
    async with serving(max_text_bytes=len(content)) as site:
        assert (await site.http.put("/v1/texts/large", content=content)).status_code == 201
        answers = await exchange(site, b"GET /v1/texts/large HTTP/1.1\r\nHost: x\r\n\r\n", b"garbage\r\n\r\n")
    head, _, rest = answers.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answers[:2000]
    assert rest[: len(content)] == content
    assert rest[len(content) :].startswith(b"HTTP/1.1 400 ")


async def test_an_upload_behind_another_request_may_take_longer_than_an_idle_client(serving: Serving) -> None:
    async with serving(idle_seconds=1.0) as site:
        first = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        fields = b"Host: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(first + b"PUT /v1/texts/slow HTTP/1.1\r\n" + fields + b"\r\n")
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            writer.write(b"2\r\nxx\r\n")
            await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")
        answers = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200", b"201"], answers


async def test_what_waits_behind_an_open_request_is_bounded_and_answered(site: Site) -> None:
    """What is not read yet waits in the sockets, however often the route looks whether the client is still there."""
    body, count, filler = b'{"words": ["x"], "text": "x"}', 600, b"x" * 10_000
    fields = b"Host: x\r\nPrefer: wait=30\r\nContent-Type: application/json\r\nContent-Length: %d" % len(body)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"POST /v1/jobs HTTP/1.1\r\n" + fields + b"\r\n\r\n" + body)
    await eventually(site.jobs)

    async def looks(times: int) -> int:
        """The most that the server holds, over so many looks of the route."""
        most = 0
        for _ in range(times):
            await asyncio.sleep(LOOK_SECONDS)
            for connection in site.server.server_state.connections:
                most = max(most, len(connection.conn.trailing_data[0]))
        return most

    writer.write((b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + filler + b"\r\n\r\n") * count)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    held = await looks(12)
    assert writer.transport.get_write_buffer_size() > 0, "all of it was taken"
    assert MAX_HEAD_BYTES < held <= MAX_HEAD_BYTES + 2 * 256 * 1024  # and a read of the event loop
    await site.succeed(str((await site.jobs())[0]["id"]))
    async with asyncio.timeout(60):
        answers = await reader.read()
    writer.close()
    await writer.wait_closed()
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", answers)
    assert statuses == [b"200"] * (count + 2), (len(statuses), statuses[:3], answers[-300:])


async def test_a_head_behind_an_open_request_has_its_time_after_the_answer(serving: Serving) -> None:
    async with serving(idle_seconds=0.5) as site:
        body = b'{"words": ["x"], "text": "x"}'
        fields = b"Host: x\r\nPrefer: wait=2\r\nContent-Type: application/json\r\nContent-Length: %d" % len(body)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"POST /v1/jobs HTTP/1.1\r\n" + fields + b"\r\n\r\n" + body + b"GET /livez HTTP/1.1\r\nHost")
        assert b" 202 " in await reader.readline()
        writer.write(b": x\r\nConnection: close\r\n\r\n")
        assert re.findall(rb"HTTP/1\.1 (\d+)", await reader.read()) == [b"200"]
        writer.close()
        await writer.wait_closed()


async def test_the_end_of_an_answer_may_be_taken_slowly(tmp_path: Path) -> None:
    """For longer than an idle client has, on a connection that ends with the answer, which the route sent in one piece."""
    content = b"x" * 30_000_000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": content})

    settings = load_settings(data_dir=tmp_path, api_port=0, idle_seconds=1.0)
    server = HttpServer(app, settings, asyncio.Event())

    def read(port: int) -> int:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            count, slow_until = 0, time.monotonic() + 2.5
            while piece := client.recv(65536):
                count += len(piece)
                if time.monotonic() < slow_until:
                    time.sleep(0.1)  # a client that reads slowly
            return count

    with listen(settings) as listening:
        running = asyncio.create_task(server.serve([listening]))
        assert await asyncio.to_thread(read, listening.getsockname()[1]) > len(content)
        server.leave()
        await running
