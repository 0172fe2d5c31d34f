"""Sends files to the server, several at once, each streamed: memory stays flat whatever their size."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import BinaryIO, TypeVar

from cli.client import Client, JsonObject
from cli.errors import CliError, RefusedError
from cli.files import STDIN, File

CHUNK_BYTES = 1024 * 1024
AT_ONCE = 4

T = TypeVar("T")
R = TypeVar("R")
Sent = Callable[[int], None]


async def upload(client: Client, files: Sequence[tuple[str, File]], sent: Sent) -> list[JsonObject]:
    """Store each file under the name beside it; `sent` hears of bytes as they leave. Returns what was stored, in order.

    The first failure stops the rest. Raises as `Client.put_text`, and `CliError` for a file that cannot be read.
    """

    async def put(named: tuple[str, File]) -> JsonObject:
        name, file = named
        try:
            with _open(file) as source:
                return await client.put_text(name, _chunks(source, file.size, sent), file.size)
        except OSError as error:
            raise CliError(f"{file.name}: {error.strerror}") from error
        except RefusedError as error:
            raise RefusedError(error.status, f"{file.name}: {error}") from error

    return await each(put, files)


async def each(call: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """Call for each item, a few at once; what came back, in order. The first failure stops the rest and is raised."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with places:
            return await call(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _open(file: File) -> BinaryIO:
    return open(sys.stdin.fileno(), "rb", closefd=False) if file.name == STDIN else open(file.name, "rb")


async def _chunks(source: BinaryIO, size: int | None, sent: Sent) -> AsyncIterator[bytes]:
    """The announced `size` bytes and no more: a file may grow while it is read."""
    left = size
    while chunk := await asyncio.to_thread(source.read, CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)):
        yield chunk
        sent(len(chunk))
        if left is not None:
            left -= len(chunk)
    if left:
        raise CliError(f"{source.name}: became shorter while it was read")
