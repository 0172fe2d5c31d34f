"""Following a job over a bad line: streams that break off, a server that is away, proxies that want whole answers."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from essaim.cli.client import JsonObject, open_client
from essaim.cli.errors import AbsentError, RefusedError, UnreachableError
from essaim.cli.jobs.follow import follow
from tests.integration.conftest import Serving, Site

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
AWAY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
Answer = Callable[[bytes], bytes | int | None]


class Line:
    """Between a client and the API: for each request's head, `answer` gives an answer of its own, or after how many
    bytes of the real one the line breaks, or None for all of it."""

    def __init__(self, site: Site, answer: Answer) -> None:
        self.heads: list[bytes] = []
        self._site = site
        self._answer = answer

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs = None
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.heads.append(head)
                    answer = self._answer(head)
                    if isinstance(answer, bytes):
                        writer.write(answer)
                        return
                    head = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n").replace(b"keep-alive", b"close")
                    source, theirs = await asyncio.open_connection("127.0.0.1", self._site.port)
                    theirs.write(head)
                    left = answer
                    while chunk := await source.read(65536 if left is None else min(left, 65536)):
                        writer.write(chunk)
                        await writer.drain()
                        left = None if left is None else left - len(chunk)
                        if left == 0:
                            return
                    return
        finally:
            writer.close()
            if theirs is not None:
                theirs.close()


async def run_slowly(site: Site, job_id: str, seen: list[JsonObject]) -> None:
    """Do a worker's work in steps, each after the one before was seen."""

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.02)

    await until(lambda: bool(seen))
    claimed = await site.claim(job_id)
    await until(lambda: seen[-1]["state"] == "running")
    await site.backends.store.plan(job_id, 1, [b"{}"])
    for step in (0.25, 0.5, 0.75):
        await site.backends.store.beat(claimed.claim, step)
        await until(lambda step=step: seen[-1]["progress"] == step)
    await site.backends.store.finish(claimed.claim, b"{}")
    await site.backends.store.complete((await site.claim(job_id)).claim, b'{"counts":{},"texts":{}}')


async def followed(site: Site, url: str) -> list[JsonObject]:
    job_id = await site.submit()
    seen: list[JsonObject] = []
    working = asyncio.create_task(run_slowly(site, job_id, seen))
    async with asyncio.timeout(120), open_client(url) as client:
        async for job in follow(client, job_id):
            seen.append(job)
    await working
    return seen


def is_stream(head: bytes) -> bool:
    return b"/events " in head


async def test_a_stream_that_breaks_off_is_resumed_where_it_broke(site: Site) -> None:
    broken = Line(site, lambda head: 900 if is_stream(head) else None)
    async with broken as url:
        seen = await followed(site, url)
    assert [job["state"] for job in seen][-1] == "succeeded"
    assert [job["progress"] for job in seen] == sorted(job["progress"] for job in seen)
    streams = [head for head in broken.heads if is_stream(head)]
    assert len(streams) > 1
    assert b"last-event-id" not in streams[0].lower()
    assert b"last-event-id" in streams[-1].lower()


async def test_without_streams_it_asks_again_and_again(site: Site) -> None:
    async with Line(site, lambda head: WHOLE if is_stream(head) else None) as url:
        seen = await followed(site, url)
    assert [job["state"] for job in seen][-1] == "succeeded"
    assert len(seen) >= 5


@pytest.mark.parametrize("answer", [AWAY, b""], ids=["says so", "is silent"])
async def test_a_server_that_is_away_for_a_while_is_waited_for(site: Site, answer: bytes) -> None:
    asked = 0

    def come_and_go(head: bytes) -> bytes | int | None:
        nonlocal asked
        asked += 1
        return answer if asked in (1, 2, 4) else 900

    async with Line(site, come_and_go) as url:
        seen = await followed(site, url)
    assert [job["state"] for job in seen][-1] == "succeeded"


@pytest.mark.parametrize(
    ("answer", "error"), [(AWAY, RefusedError), (b"", UnreachableError)], ids=["says so", "is silent"]
)
async def test_one_that_stays_away_is_given_up(site: Site, answer: bytes, error: type[Exception]) -> None:
    async with Line(site, lambda head: answer) as url, open_client(url) as client:
        job_id = await site.submit()
        with pytest.raises(error):
            await anext(follow(client, job_id, patience=0.5))


async def test_a_job_that_is_not_there_is_given_up_at_once(site: Site) -> None:
    async with open_client(f"http://127.0.0.1:{site.port}") as client:
        with pytest.raises(AbsentError):
            await anext(follow(client, "0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10"))


async def test_a_stream_that_ends_itself_is_taken_up_again(serving: Serving) -> None:
    async with serving(stream_seconds=0.3) as site:
        seen = await followed(site, f"http://127.0.0.1:{site.port}")
    assert [job["state"] for job in seen][-1] == "succeeded"
