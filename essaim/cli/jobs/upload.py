"""Upload files, several at once, each streamed: memory use does not depend on their size."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from io import FileIO
from typing import Any, TypeVar

from essaim.cli.client import Client, JsonObject
from essaim.cli.errors import CliError, RefusedError
from essaim.cli.jobs.files import STDIN, File
from essaim.cli.output import shown

CHUNK_BYTES = 1024 * 1024
AT_ONCE = 4

T = TypeVar("T")
R = TypeVar("R")
Sent = Callable[[int], None]


async def upload(client: Client, files: Sequence[tuple[str, File]], sent: Sent) -> list[JsonObject]:
    """Store each file under its name; `sent` is called with the number of bytes sent. Returns the texts, in order.

    The first failure stops the rest. Raises as `Client.put_text`, and `CliError` for a file that cannot be read.
    """

    async def put(named: tuple[str, File]) -> JsonObject:
        name, file = named
        try:
            with await _apart(_open, file) as source:
                head = await _head(source)
                size = file.size
                if len(head) < CHUNK_BYTES:
                    size = len(head)
                elif size is not None and size < len(head):
                    size = None
                return await client.put_text(name, _chunks(source, head, size, sent), size)
        except OSError as error:
            raise CliError(f"{shown(file.name)}: {error.strerror}") from error
        except RefusedError as error:
            raise RefusedError(error.status, f"{shown(file.name)}: {error}") from error

    return await each(put, files)


async def each(call: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """Call for each item, a few at a time. Returns the results in order; the first failure stops the rest and is raised."""
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


def _open(file: File) -> FileIO:
    return FileIO(sys.stdin.fileno(), closefd=False) if file.name == STDIN else FileIO(file.name)


async def _head(source: FileIO) -> bytes:
    """The first `CHUNK_BYTES` bytes, fewer only at the end of the file: its reported size may be wrong."""
    head = b""
    while more := await _apart(source.read, CHUNK_BYTES - len(head)):
        head += more
    return head


async def _chunks(source: FileIO, head: bytes, size: int | None, sent: Sent) -> AsyncIterator[bytes]:
    """Exactly the announced `size` bytes: a file may grow while it is read."""
    left, chunk = size, head
    while chunk:
        yield chunk
        sent(len(chunk))
        if left is not None:
            left -= len(chunk)
        chunk = await _apart(source.read, CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
    if left:
        raise CliError(f"{shown(str(source.name))}: became shorter while it was read")


async def _apart(call: Callable[..., T], *arguments: Any) -> T:
    """Call in a thread, which is abandoned if we are cancelled: a read from a pipe may never return."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(settling: Callable[[Any], None], value: object) -> None:
        if not done.done():
            settling(value)

    def work() -> None:
        settled: tuple[Callable[[Any], None], object]
        try:
            settled = done.set_result, call(*arguments)
        except BaseException as error:
            settled = done.set_exception, error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *settled)

    threading.Thread(target=work, daemon=True).start()
    return await done
