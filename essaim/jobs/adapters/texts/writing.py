"""Writing a text: in one request if it is small, in parts if it is not, whole or not at all, with flat memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from essaim.errors import TextTooLargeError
from essaim.jobs.adapters.texts.errors import text_of, translated
from essaim.jobs.adapters.texts.folder import STAGING, Folder
from essaim.jobs.model import Text

if TYPE_CHECKING:
    from obstore import PutMode

PART = 5 * 1024 * 1024  # the smallest that S3 accepts
MOST_PARTS = 10_000  # of one upload to S3
PARTS_AT_ONCE = 4

T = TypeVar("T")


@dataclass
class TextWriter:
    """Writes one text into a store."""

    store: ObjectStore
    folder: Folder | None
    name: str
    limit: int
    overwrite: bool

    async def write(self, chunks: AsyncIterable[bytes]) -> Text:
        async with aclosing(blocks_of(chunks, self.limit)) as blocks:
            first = await anext(blocks)
            if self.folder is None and (self.overwrite or len(first) < PART):
                etag, size = await self._send(self.name, first, blocks, overwrite=self.overwrite)
                return Text(self.name, size, etag, datetime.now(UTC))
            return await self._stage(first, blocks)

    async def _stage(self, first: bytes, rest: AsyncIterator[bytes]) -> Text:
        """Write to a staging name, then move. Locally always: `Folder` says why. Elsewhere for a large text that must be new:
        a multipart upload cannot fail because the name exists, but a copy can."""
        staged = f"{self.folder.staging if self.folder else STAGING}/{uuid4().hex}"
        try:
            await self._send(staged, first, rest, overwrite=True)
            with translated(self.name):
                return await self._move(staged)
        except BaseException:
            with suppress(FileNotFoundError, BaseError):
                await shielded(obstore.delete_async(self.store, staged))
            raise

    async def _move(self, staged: str) -> Text:
        if self.folder is None:
            await shielded(obstore.rename_async(self.store, staged, self.name, overwrite=self.overwrite))
            return text_of(self.name, await obstore.head_async(self.store, self.name))
        self.folder.stamp(staged)
        meta = await obstore.head_async(self.store, staged)  # once published, another process may replace it
        await shielded(asyncio.to_thread(self.folder.publish, staged, self.name, overwrite=self.overwrite))
        return text_of(self.name, meta)

    async def _send(self, path: str, first: bytes, rest: AsyncIterator[bytes], *, overwrite: bool) -> tuple[str, int]:
        """Write one object. Returns its etag and size."""
        if len(first) < PART:
            with translated(self.name):
                mode: PutMode = "overwrite" if overwrite else "create"
                put = obstore.put_async(self.store, path, first, use_multipart=False, mode=mode)
                return (await shielded(put))["e_tag"] or "", len(first)
        upload = Upload(self.store, path, self.limit)
        size = 0
        try:
            block: bytes | None = first
            while block is not None:
                size += len(block)
                with translated(self.name):
                    await upload.send(block)
                block = await anext(rest, None)
            with translated(self.name):
                return await upload.finish() or "", size
        except BaseException:
            await upload.abandon()
            raise


async def blocks_of(chunks: AsyncIterable[bytes], limit: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in blocks of at least `PART`, except the last, which may be empty.

    Each block costs a call into Rust, so the small chunks of a socket are joined first.
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
    """One multipart upload. `send` waits until the store can take another block.

    obstore could read the caller's stream directly, but in other tasks than the caller's, and a cancelled caller would leave
    parts behind: an upload must be stopped explicitly and awaited.
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
        """End the upload, which creates the object. Returns its etag."""
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


async def shielded(work: Awaitable[T]) -> T:
    """Await the work to its end even if cancelled: the thread behind it goes on, and would leave its file behind."""
    future = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        if not future.cancelled():
            future.exception()
        raise
