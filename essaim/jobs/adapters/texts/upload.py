"""A stream on its way into an object store: in large blocks, whole or not at all, with flat memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable
from typing import TypeVar

import obstore
from obstore.store import ObjectStore

from essaim.errors import TextTooLargeError

PART = 5 * 1024 * 1024  # the least that S3 takes
MOST_PARTS = 10_000  # the most
PARTS_AT_ONCE = 4

T = TypeVar("T")


async def blocks_of(chunks: AsyncIterable[bytes], limit: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in blocks of at least `PART`, but for the last, which may be empty.

    Each block costs a trip to Rust and back, so the small chunks of a socket are put together first.
    Raises `TextTooLargeError` past `limit` bytes.
    """
    held: list[bytes] = []
    size = waiting = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TextTooLargeError(f"the text has more than the {limit} bytes allowed; nothing was stored")
        held.append(chunk)
        waiting += len(chunk)
        if waiting >= PART:
            block, held, waiting = b"".join(held), [], 0
            yield block
    yield b"".join(held)


class Upload:
    """One multipart upload. The store takes blocks as it gets rid of them; `send` waits until it does.

    obstore could read the caller's stream by itself, but then it would run in other tasks than the caller's, and a
    cancelled caller would leave parts behind: an upload has to be told to stop, and to be waited for.
    """

    def __init__(self, store: ObjectStore, path: str, limit: int) -> None:
        self._blocks: asyncio.Queue[bytes | _Abandoned | None] = asyncio.Queue(1)
        self._stored = asyncio.ensure_future(
            obstore.put_async(
                store,
                path,
                self,
                use_multipart=True,
                chunk_size=max(PART, -(-limit // MOST_PARTS)),
                max_concurrency=PARTS_AT_ONCE,
            )
        )
        self._stored.add_done_callback(self._make_room)

    async def send(self, block: bytes) -> None:
        """Raises what the store raised, if it has failed."""
        await self._blocks.put(block)
        if self._stored.done():
            self._stored.result()

    async def finish(self) -> str | None:
        """Everything was sent. Returns the etag; only now there is an object."""
        await self._blocks.put(None)
        return (await asyncio.shield(self._stored))["e_tag"]

    async def abandon(self) -> None:
        """Leave nothing behind."""
        self._make_room()
        self._blocks.put_nowait(_Abandoned())
        await asyncio.wait({self._stored})
        if not self._stored.cancelled():
            self._stored.exception()

    def _make_room(self, _: object = None) -> None:
        if not self._blocks.empty():
            self._blocks.get_nowait()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        match await self._blocks.get():
            case None:
                raise StopAsyncIteration
            case _Abandoned() as error:
                raise error
            case block:
                return block


class _Abandoned(Exception):
    pass


async def settled(work: Awaitable[T]) -> T:
    """The result, but a cancelled caller waits too: the thread behind the call goes on, and would leave its file behind."""
    future = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        if not future.cancelled():
            future.exception()
        raise
