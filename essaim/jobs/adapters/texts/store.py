"""Texts in an object store, by obstore (Rust object_store). A local folder is one with a few more rules: `texts/folder.py`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import obstore
from obstore.store import ObjectStore

from essaim.errors import (
    RangeInvalidError,
    TextChangedError,
    TextExistsError,
    TextNameError,
    TextNotFoundError,
    UnavailableError,
)
from essaim.jobs.adapters.texts.errors import text_of, translated
from essaim.jobs.adapters.texts.folder import Folder, read_file
from essaim.jobs.adapters.texts.names import Glob, check_name, fault, quoted
from essaim.jobs.adapters.texts.writing import TextWriter
from essaim.jobs.model import Text

if TYPE_CHECKING:
    from obstore import GetOptions

PIECE = 4 * 1024 * 1024
FARTHEST = 2**63 - 1


class ObjectTexts:
    """The text store on any object store. With a folder, the store is local and rooted there.

    Etags are quoted, as in HTTP. A text that is replaced while it is read ends the reading with `TextChangedError`.
    """

    def __init__(self, store: ObjectStore, folder: Folder | None = None) -> None:
        self._store = store
        self._folder = folder

    async def put(self, name: str, chunks: AsyncIterable[bytes], *, limit: int, overwrite: bool = True) -> Text:
        check_name(name)
        with translated(name):
            if self._folder is not None:
                self._folder.check_free(name)
        if not overwrite and await self._find(name):
            raise TextExistsError(f"there is a text {quoted(name)} already")
        try:
            return await TextWriter(self._store, self._folder, name, limit, overwrite).write(chunks)
        except TextExistsError:
            if not overwrite and await self._find(name):
                raise
            # What some S3 servers on a file system say where `a` is in the way of `a/b`, or the other way round.
            sentence = (
                f"{quoted(name)} cannot be stored: it is a folder of other texts, or one of its folders is a text"
            )
            raise TextNameError(sentence) from None

    @asynccontextmanager
    async def open(
        self, name: str, start: int = 0, end: int | None = None, *, etag: str | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        end = FARTHEST if end is None else end
        data, text = await self._read(name, start, min(end, start + PIECE), etag)
        async with aclosing(self._pieces(data, text, start + len(data), min(end, text.size))) as pieces:
            yield pieces

    async def _pieces(self, data: bytes, text: Text, at: int, end: int) -> AsyncGenerator[bytes, None]:
        # Not the stream that obstore offers: locally it goes by 8 KiB, at a tenth of the speed.
        while data:
            yield data
            if at >= end:
                return
            data, _ = await self._read(text.name, at, min(at + PIECE, end), text.etag)
            at += len(data)

    async def read(self, name: str, start: int, end: int, *, etag: str | None = None) -> bytes:
        data, _ = await self._read(name, start, end, etag)
        return data

    async def _read(self, name: str, start: int, end: int, etag: str | None) -> tuple[bytes, Text]:
        """The bytes, and the text that they are from."""
        self._check_reachable(name)
        end = min(end, FARTHEST)
        data = b""
        try:
            if not 0 <= start < end:
                text = await self.stat(name)
            else:
                with translated(name, missing=True):
                    data, text = await self._fetch(name, start, end, etag)
        except UnavailableError:
            # Stores do not say clearly that a range is past the end.
            text = await self.stat(name)
            if start < text.size:
                raise
        if etag not in (None, text.etag):
            raise TextChangedError(f"{quoted(name)} is no longer the version that was asked for")
        if start < 0 or end < start or (start > 0 and start >= text.size):
            raise RangeInvalidError(f"bytes {start} to {end} are not in {quoted(name)}, which has {text.size}")
        return data, text

    async def _fetch(self, name: str, start: int, end: int, etag: str | None) -> tuple[bytes, Text]:
        if self._folder is not None:
            return await asyncio.to_thread(read_file, self._folder.root / name, name, start, end)
        options: GetOptions = {"range": (start, end)}
        if etag is not None:
            options["if_match"] = etag
        found = await obstore.get_async(self._store, name, options=options)
        return bytes(await found.bytes_async()), text_of(name, found.meta)

    async def stat(self, name: str) -> Text:
        self._check_reachable(name)
        with translated(name, missing=True):
            return text_of(name, await obstore.head_async(self._store, name))

    async def list(self, pattern: str = "*", *, after: str = "", limit: int = 1000) -> Sequence[Text]:
        """As the port says. A page costs, locally, reading and sorting the folders that can hold some of it; elsewhere,
        listing from `after` on, in the folder that the pattern starts with, until the page is full. A pattern
        without wildcards costs one look."""
        glob = Glob(pattern)
        if limit < 1:
            return []
        if glob.exact:
            text = None if fault(pattern) or pattern <= after else await self._find(pattern)
            return [text] if text else []
        with translated(pattern):
            if self._folder is None:
                return await self._list_objects(glob, after, limit)
            return await asyncio.to_thread(self._list_files, self._folder, glob, after, limit)

    def _list_files(self, folder: Folder, glob: Glob, after: str, limit: int) -> Sequence[Text]:
        found: list[Text] = []
        for name in folder.names(glob, after):
            with suppress(FileNotFoundError):  # deleted since
                found.append(text_of(name, obstore.head(self._store, name)))
            if len(found) == limit:
                break
        return found

    async def _list_objects(self, glob: Glob, after: str, limit: int) -> Sequence[Text]:
        found: list[Text] = []
        if glob.folder and fault(f"{glob.folder}/-"):
            return found
        offset = None if fault(after) else after
        async for metas in obstore.list(self._store, glob.folder or None, offset=offset, chunk_size=min(limit, 1000)):
            for meta in metas:
                name = meta["path"]
                if len(found) == limit or (name > glob.literal and not name.startswith(glob.literal)):
                    return found
                if name > after and glob.matches(name) and not fault(name):
                    found.append(text_of(name, meta))
        return found

    async def delete(self, name: str) -> None:
        await self.stat(name)  # S3 does not say that there was nothing to delete
        with translated(name, missing=True):
            await obstore.delete_async(self._store, name)

    async def _find(self, name: str) -> Text | None:
        try:
            return await self.stat(name)
        except TextNotFoundError:
            return None

    def _check_reachable(self, name: str) -> None:
        check_name(name)
        with translated(name):
            if self._folder is not None and not self._folder.reaches(name):
                raise TextNotFoundError(f"there is no text {quoted(name)}")
