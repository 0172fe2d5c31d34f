"""One client process, cheap enough to leave the machine to the servers: POSTs over kept-alive connections."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CLIENTS = 32


@dataclass
class Posts:
    """What came of it: ids in the order of answers, seconds of each, and from the first to the last."""

    ids: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.ids) / self.elapsed

    def percentile(self, share: float) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * share)]


class Client:
    """Posts one body again and again."""

    def __init__(self, url: str, body: bytes) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname, parts.port
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def flood(self, *, jobs: int = 1_000_000, seconds: float = 3600.0) -> Posts:
        """32 clients, each posting again as soon as it is answered, until so many are posted or the time is over."""
        posts, left, end = Posts(), iter(range(jobs)), time.perf_counter() + seconds

        async def post() -> None:
            reader, writer = await asyncio.open_connection(*self._address)
            for _ in left:
                if time.perf_counter() > end:
                    break
                await self._post(reader, writer, posts)
            writer.close()

        start = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(CLIENTS)))
        posts.elapsed = time.perf_counter() - start
        return posts

    async def pace(self, rate: float, seconds: float) -> Posts:
        """So many a second, whether or not those before are answered (up to 32 at once): the latency without a crowd."""
        posts, start = Posts(), time.perf_counter()
        idle = [await asyncio.open_connection(*self._address) for _ in range(CLIENTS)]
        running: set[asyncio.Task[None]] = set()

        async def post() -> None:
            connection = idle.pop()
            await self._post(*connection, posts)
            idle.append(connection)

        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
            while not idle:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            running.add(asyncio.create_task(post()))
            running = {task for task in running if not task.done()}
        await asyncio.gather(*running)
        posts.elapsed = time.perf_counter() - start
        for _, writer in idle:
            writer.close()
        return posts

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, posts: Posts) -> None:
        before = time.perf_counter()
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        posts.seconds.append(time.perf_counter() - before)
        if not head.startswith(b"http/1.1 202"):
            raise SystemExit(f"the server answers {head.decode()}{body[:500].decode()}")
        posts.ids.append(json.loads(body)["id"])
