"""Clients that mean harm, or are merely broken: names, heads and bodies as no library sends them."""

import asyncio
import re
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import BuildHouse, eventually
from tests.integration.conftest import Serving, Site

MIB = 1024 * 1024

NO_NAMES = [
    "../x",
    "a/../../x",
    "..%2fx",
    "%2e%2e%2fx",
    "%2e%2e/x",
    "..%5cx",
    "a%5c..%5cx",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "a//b",
    "a/",
    ".",
    "..",
    ".hidden",
    "a/.hidden/b",
    "",
    "%00",
    "a%00b",
    "a%0ab",
    "a%7fb",
    "%ff",
    "%c0%ae%c0%ae/x",
    "%ed%a0%80",
    "%c2%85",
    "a*b",
    "a%3fb",
    "x" * 4096,
    "%C3%A9" * 300,
    "/".join(["x"] * 2000),
]
NAMES = [
    "a",
    "été",
    "書/蜂の群れ.txt",
    "خلية",
    "a b",
    "a#b",
    "a%b",
    "a+b&c=d;",
    "🐝",
    "e\u0301",
    "~",
    "con",
    "'",
    "x" * 200,
    "<b>",
]


async def test_a_name_that_could_lead_out_of_the_store_is_refused(site: Site) -> None:
    for name in NO_NAMES:
        for method in (b"PUT", b"GET", b"HEAD", b"DELETE"):
            head = b"%s /v1/texts/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % (method, name.encode())
            answer = await site.exchange(head + b"Content-Length: 1\r\n\r\nx")
            assert answer.startswith(b"HTTP/1.1 400 "), (method, name, answer)
            assert b"application/problem+json" in answer
    outside = [path for path in site.settings.data_dir.parent.rglob("*") if path.name in ("x", "passwd", "b")]
    assert outside == []
    assert await site.backends.texts.list("**") == []


async def test_names_in_any_alphabet_are_names(site: Site) -> None:
    for name in NAMES:
        path = f"/v1/texts/{quote(name, safe='/')}"
        put = await site.http.put(path, content=name.encode())
        assert put.status_code == 201, (name, put.text)
        assert put.json()["name"] == name
        assert (await site.http.get(put.headers["location"])).content == name.encode()
    listed = {text["name"] for text in (await site.http.get("/v1/texts")).json()["texts"]}
    assert listed == set(NAMES)


async def test_what_is_no_http_is_a_problem(site: Site) -> None:
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"HELLO\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nbroken header\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        answer = await site.exchange(nonsense)
        assert re.match(rb"HTTP/1.1 4\d\d ", answer), (nonsense, answer)
        assert b"application/problem+json" in answer, (nonsense, answer)


async def test_an_endless_head_is_refused(site: Site) -> None:
    for begin in (
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ",
        b"GET /",
        b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    ):
        answer = await site.exchange(begin, *[b"y" * 10_000] * 30)
        assert answer.startswith(b"HTTP/1.1 431 "), answer
        assert b"application/problem+json" in answer


async def test_trailers_are_dropped(site: Site) -> None:
    answer = await site.exchange(
        b"PUT /v1/texts/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
        b"Trailer-Field: y\r\n" * 1000,
        b"\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 201 ")


async def test_who_does_not_finish_a_head_is_sent_away(serving: Serving) -> None:
    async with serving(idle_seconds=0.3) as site:
        for beginning in (b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n"):
            answer = await site.exchange(beginning)
            assert answer.startswith(b"HTTP/1.1 408 "), (beginning, answer)


async def test_who_keeps_on_sending_what_was_refused_is_cut_off(serving: Serving) -> None:
    async with serving(idle_seconds=0.3, max_text_bytes=1000) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"PUT /v1/texts/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000000\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        with pytest.raises(ConnectionError):  # noqa: PT012  # whichever write comes after the cut
            async with asyncio.timeout(60):
                while True:
                    writer.write(b"x" * 1000)
                    await writer.drain()
                    await asyncio.sleep(0.01)
        writer.close()


async def test_a_refused_body_does_not_spoil_the_next_request(site: Site) -> None:
    """The rest of it is taken and dropped: a client that reads only after it has sent everything gets its answer."""
    size = site.settings.max_text_bytes * 3
    answer = await site.exchange(
        b"PUT /v1/texts/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size,
        *[b"x" * MIB] * (size // MIB),
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"413", b"200"]


SIZE = 4 * MIB
LENGTH = f"Host: x\r\nConnection: close\r\nContent-Length: {SIZE}\r\n"
UPLOADS = {
    "too large": (f"PUT /v1/texts/a HTTP/1.1\r\n{LENGTH}", 413),
    "too large in HTTP/1.0": (f"PUT /v1/texts/a HTTP/1.0\r\nContent-Length: {SIZE}\r\n", 413),
    "a bad name": (f"PUT /v1/texts/../a HTTP/1.1\r\n{LENGTH}", 400),
    "no such path": (f"POST /nowhere HTTP/1.1\r\n{LENGTH}", 404),
    "compressed": (f"POST /v1/jobs HTTP/1.1\r\n{LENGTH}Content-Encoding: gzip\r\n", 415),
    "no Host": (f"PUT /v1/texts/a HTTP/1.1\r\nContent-Length: {SIZE}\r\n", 400),
    "behind a whole request": ("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", 200),
}


@pytest.mark.parametrize(("head", "status"), UPLOADS.values(), ids=UPLOADS)
async def test_an_upload_that_ends_its_connection_never_loses_the_answer(site: Site, head: str, status: int) -> None:
    """The client reads only after it has sent everything."""

    def upload() -> bytes:
        with socket.create_connection(("127.0.0.1", site.port)) as client:
            client.settimeout(60)
            client.sendall(head.encode() + b"\r\n")
            client.sendall(b"x" * SIZE)
            return client.makefile("rb").read()

    for _ in range(30):
        answer = await asyncio.to_thread(upload)
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer
        found, _, body = answer.lower().partition(b"\r\n\r\n")
        assert len(body) == int(re.findall(rb"content-length: (\d+)", found)[0])


async def test_a_lingering_connection_ends_after_a_time(serving: Serving) -> None:
    async with serving(idle_seconds=0.3, max_text_bytes=10) as site:
        head = b"PUT /v1/texts/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000000000\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(head)
        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
        with pytest.raises(ConnectionError):  # noqa: PT012  # whichever write comes after the cut
            async with asyncio.timeout(60):
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.01)
        writer.close()


async def test_a_lingering_connection_ends_after_a_number_of_bytes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essaim_api.connection.LINGER_BYTES", 3 * MIB)

    def upload() -> int:
        with socket.create_connection(("127.0.0.1", site.port)) as client:
            head = b"PUT /v1/texts/../a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000000000\r\n\r\n"
            client.sendall(head)
            sent = 0
            while sent < 1000 * MIB:
                try:
                    sent += client.send(b"x" * MIB)
                except ConnectionError:
                    break
            return sent

    assert 3 * MIB <= await asyncio.to_thread(upload) < 100 * MIB  # what the sockets hold is more than what is read


async def test_as_many_connections_linger_as_requests_may_be_open(serving: Serving) -> None:
    async with serving(max_open_requests=3, max_text_bytes=10) as site:
        head = b"PUT /v1/texts/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000000000\r\n\r\n"
        lingering = site.server.config.lingering
        writers = []
        for number in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(head)
            assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
            assert len(lingering) == min(number + 1, 3)
            writers.append(writer)
        assert len(site.server.server_state.connections) == 3
        for writer in writers:
            writer.close()
        await eventually(lambda: not lingering)


async def test_a_body_that_turns_to_nonsense_is_over_at_once(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "essaim")
    async with serving(idle_seconds=3600) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(
            b"PUT /v1/texts/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\nnonsense\r\n"
        )
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        await eventually(lambda: "http.answered" in caplog.messages)
        assert await site.backends.texts.list("**") == []
        writer.close()
    assert "http.failed" not in caplog.messages


async def test_a_compressed_bomb_is_not_unpacked(site: Site) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert (await site.http.post("/v1/jobs", content=b"\x1f\x8b", headers=headers)).status_code == 415


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_two_gigabytes_against_a_limit_leave_the_memory_flat(build_house: BuildHouse, announced: bool) -> None:
    house = build_house(None, api_port=0, max_text_bytes=64 * MIB)
    process = house.start("api")
    port = int(await eventually(lambda: _port(house)))
    with socket.create_connection(("127.0.0.1", port)) as client:  # what the first request needs once
        client.sendall(b"PUT /v1/texts/warm HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
        assert b"201 Created" in client.makefile("rb").read()
    before = _peak(process.pid)
    status, sent = await asyncio.to_thread(_flood, port, announced)
    assert status == b"413"
    assert sent == 2048 * MIB or announced
    assert _peak(process.pid) - before < 64 * MIB
    assert not list((house.folder / "data").rglob("texts/big*"))


def _flood(port: int, announced: bool) -> tuple[bytes, int]:
    """Send 2 GiB, reading meanwhile. Returns the status and how many bytes the server took."""
    block, sent = b"x" * MIB, 0
    length = b"Content-Length: %d" % (2048 * MIB) if announced else b"Transfer-Encoding: chunked"
    with socket.create_connection(("127.0.0.1", port)) as client:
        answer = client.makefile("rb")
        lines: list[bytes] = []
        reading = threading.Thread(target=lambda: lines.append(answer.readline()))
        reading.start()
        client.sendall(b"PUT /v1/texts/big HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % length)
        for _ in range(2048):
            client.sendall(block if announced else b"100000\r\n" + block + b"\r\n")
            sent += MIB
        reading.join(30)
        answer.close()
    return lines[0].split()[1], sent


def _peak(pid: int) -> int:
    """The most memory the process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def _port(house: Any) -> str | None:
    found = re.search(r"api\.listening address=http://127\.0\.0\.1:(\d+)", house.logs())
    return found[1] if found else None


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel does this on Linux")
async def test_who_takes_nothing_of_an_answer_is_cut_off(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "essaim")
    async with serving(idle_seconds=1.0) as site:
        await site.http.put("/v1/texts/big", content=b"x" * 40_000_000)
        with socket.create_connection(("127.0.0.1", site.port)) as client:
            client.sendall(b"GET /v1/texts/big HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: len([message for message in caplog.messages if message == "http.answered"]) == 2)
    assert "http.failed" not in caplog.messages


async def test_an_idle_connection_of_a_proxy_is_not_closed_under_its_next_request(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)

    async def ask() -> None:
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        assert b" 200 " in await reader.readline()
        await reader.readuntil(b"}")

    try:
        await ask()
        await asyncio.sleep(6)  # uvicorn's own limit is 5; no proxy keeps one for so short a time
        await ask()
    finally:
        writer.close()
