"""What tests of a text store put into it, and read back."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from functools import cache
from random import Random

import pytest

from essaim.errors import EssaimError
from essaim.jobs.ports import TextStore

MIB = 1024 * 1024
LARGE = 9 * MIB  # several parts to write, several pieces to read
SMALL = 1000


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def cut(data: bytes, size: int = 65_536) -> AsyncIterable[bytes]:
    return chunks(*(data[at : at + size] for at in range(0, len(data), size)))


@cache
def varied(size: int, seed: int = 0) -> bytes:
    """No two pieces of it are alike, so that a mixed-up one shows."""
    return Random(seed).randbytes(size)


async def put(texts: TextStore, name: str, data: bytes = b"x", *, overwrite: bool = True) -> str:
    return (await texts.put(name, cut(data), limit=2 * LARGE, overwrite=overwrite)).etag


async def whole(texts: TextStore, name: str) -> bytes:
    async with texts.open(name) as pieces:
        return b"".join([piece async for piece in pieces])


async def names(texts: TextStore, pattern: str = "**", **page: object) -> Sequence[str]:
    return [text.name for text in await texts.list(pattern, **page)]  # type: ignore[arg-type]  # passed on


async def refused(texts: TextStore, name: str, error: type[EssaimError]) -> None:
    """Whoever asks for this text gets that error, however it asks."""
    with pytest.raises(error):
        await texts.stat(name)
    with pytest.raises(error):
        await texts.read(name, 0, 1)
    with pytest.raises(error):
        async with texts.open(name):
            pass
    with pytest.raises(error):
        await texts.delete(name)
