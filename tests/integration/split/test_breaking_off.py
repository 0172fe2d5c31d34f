"""A client that goes, a release that breaks off or is away, and the end of the proxy itself."""

import asyncio
import os
import signal
import socket

import httpx
import pytest

from tests.conftest import eventually
from tests.integration.split.conftest import Connection, Site, free, ok, refused


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


async def test_an_upload_to_a_release_that_is_away_keeps_its_answer(site: Site) -> None:
    """The client reads only after it has sent everything, and the connection ends with the answer."""
    addresses = {"v1": f"http://127.0.0.1:{free()}", "v2": f"http://127.0.0.1:{site.second.port}"}
    await site.service.open(f"http://127.0.0.1:{site.port}", addresses)
    head = b"PUT /a HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 4000000\r\n\r\n"

    def upload() -> bytes:
        with socket.create_connection(("127.0.0.1", site.port)) as client:
            client.settimeout(60)
            client.sendall(head)
            client.sendall(b"x" * 4_000_000)
            return client.makefile("rb").read()

    for _ in range(30):
        found = await asyncio.to_thread(upload)
        assert found.startswith(b"HTTP/1.1 503 "), found
        assert found.endswith(b"}")


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


async def test_told_to_leave_it_finishes_what_it_has_begun(site: Site) -> None:
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
