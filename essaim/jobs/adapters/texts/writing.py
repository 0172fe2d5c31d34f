"""Writing a text: in one request if it is small, in parts if it is not, and never over another one by accident."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from essaim.jobs.adapters.texts.errors import text_of, translated
from essaim.jobs.adapters.texts.folder import STAGING, Folder
from essaim.jobs.adapters.texts.upload import PART, Upload, blocks_of, settled
from essaim.jobs.model import Text

if TYPE_CHECKING:
    from obstore import PutMode


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
        """Write beside it, then move. Locally always: `Folder` says why. Elsewhere for a large text that must be new:
        no multipart upload can fail because a name is taken, but a copy can."""
        staged = f"{self.folder.staging if self.folder else STAGING}/{uuid4().hex}"
        try:
            await self._send(staged, first, rest, overwrite=True)
            with translated(self.name):
                return await self._move(staged)
        except BaseException:
            with suppress(FileNotFoundError, BaseError):
                await settled(obstore.delete_async(self.store, staged))
            raise

    async def _move(self, staged: str) -> Text:
        if self.folder is None:
            await settled(obstore.rename_async(self.store, staged, self.name, overwrite=self.overwrite))
            return text_of(self.name, await obstore.head_async(self.store, self.name))
        self.folder.stamp(staged)
        meta = await obstore.head_async(self.store, staged)  # afterwards it might be somebody else's
        await settled(asyncio.to_thread(self.folder.publish, staged, self.name, overwrite=self.overwrite))
        return text_of(self.name, meta)

    async def _send(self, path: str, first: bytes, rest: AsyncIterator[bytes], *, overwrite: bool) -> tuple[str, int]:
        """Write one object. Returns its etag and size."""
        if len(first) < PART:
            with translated(self.name):
                mode: PutMode = "overwrite" if overwrite else "create"
                put = obstore.put_async(self.store, path, first, use_multipart=False, mode=mode)
                return (await settled(put))["e_tag"] or "", len(first)
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
