"""Reads and writes of one SQLite file for queue and store, which many processes use at once.

A transaction is one function, run from BEGIN to COMMIT on the thread of its connection. So the event loop never waits
for the disk or for another process, and a caller that is cancelled leaves no transaction half done. Reads have a
connection of their own and wait for nobody. docs/decisions/0004-sqlite-default.md has the reasons and the numbers.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from essaim.errors import UnavailableError
from essaim.jobs.adapters.batches import Batches
from essaim.jobs.adapters.sqlite.file import connect, path_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
CHECKPOINT_CHANGES = 2000  # rows this process changes between two checkpoints: a few MiB of log


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator["Database"]:
    """Open `sqlite:///relative/path` or `sqlite:////absolute/path`, created with its folders if missing.

    Raises `SettingsError` for what can never be opened, `UnavailableError` for what cannot be opened now.
    """
    database = Database(path_of(url))
    try:
        await database.open()
        yield database
    finally:
        await database.close()


class Database:
    """An open file. `read` and `write` raise `UnavailableError` when it is locked for too long, full, broken or gone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = ThreadPoolExecutor(1, "sqlite-read")
        self._writing = ThreadPoolExecutor(1, "sqlite-write")
        self._connections: list[sqlite3.Connection] = []
        self._writes = Batches[tuple[Callable[[], Any], bool], Any](self._write_all)
        self._checkpointed = 0
        self._closed = False

    async def open(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writing, self._open)

    async def close(self) -> None:
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reading, lambda: None)  # whatever still runs there
        await loop.run_in_executor(self._writing, self._close)
        self._reading.shutdown()
        self._writing.shutdown()

    async def read(self, work: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts) -> T:
        """The result of `work(connection, *args)` on one consistent state of the file."""
        return await self._run(self._reading, lambda: self._read(lambda: work(self._reader, *args)))

    async def write(self, work: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts, durable: bool = False) -> T:
        """Run `work(connection, *args)` as one transaction: all of it or, when it raises, nothing.

        Those that come while another is under way are committed together, each still for itself.
        It outlives this process in any case. With `durable` it also outlives a loss of power from the moment this
        returns; without, a loss of power can take the last moments of all writes back, the newest first.
        """
        answer: T = await self._writes.ask((lambda: work(self._writer, *args), durable))
        return answer

    def version(self) -> int | None:
        """A number that changes with every write, by any process; None if it cannot be read now.

        It takes microseconds and waits for nobody, so the event loop can ask often; a thread would cost 50 times as much.
        """
        if self._closed:
            return None
        try:
            found: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.OperationalError:
            return None
        return found

    async def _run(self, thread: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        if self._closed:
            raise UnavailableError(f"the database {self._path} is closed")
        return await asyncio.get_running_loop().run_in_executor(thread, function)

    def _open(self) -> None:
        for _ in range(4):
            self._connections.append(connect(self._path))
        self._reader, self._writer, self._keeper, self._watcher = self._connections
        self._file = os.stat(self._path)
        self._watcher.execute("PRAGMA busy_timeout = 0")

    def _close(self) -> None:
        for connection in self._connections:
            with suppress(sqlite3.Error):
                connection.close()

    def _read(self, work: Callable[[], T]) -> T:
        with self._translating_errors():
            self._must_be_there()
            self._reader.execute("BEGIN")
            with self._reader:
                return work()

    async def _write_all(self, asked: Sequence[tuple[Callable[[], Any], bool]]) -> Sequence[Any | BaseException]:
        durable = any(durable for _, durable in asked)
        return await self._run(self._writing, lambda: self._write([work for work, _ in asked], durable))

    def _write(self, works: Sequence[Callable[[], Any]], durable: bool) -> Sequence[Any | BaseException]:
        with self._translating_errors():
            self._must_be_there()
            self._writer.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
            self._writer.execute("BEGIN IMMEDIATE")
            with self._writer:
                answers = [works[0]()] if len(works) == 1 else [self._apart(work) for work in works]
        self._must_be_there()  # it may have gone before the commit
        if self._writer.total_changes - self._checkpointed > CHECKPOINT_CHANGES:
            self._checkpointed = self._writer.total_changes
            self._writing.submit(self._checkpoint)
        return answers

    def _apart(self, work: Callable[[], Any]) -> Any | BaseException:
        """What it returns or raises. If it raises, its own changes are undone, and no others."""
        self._writer.execute("SAVEPOINT apart")
        try:
            with self._translating_errors():
                answer = work()
        except Exception as error:
            answer = error
            self._writer.execute("ROLLBACK TO apart")
        self._writer.execute("RELEASE apart")
        return answer

    def _must_be_there(self) -> None:
        """A deleted file can still be read and written by processes that have it open, but its jobs would be lost."""
        try:
            if os.path.samestat(self._file, os.stat(self._path)):
                return
        except OSError:
            pass
        reason = f"the database {self._path} was deleted, moved or replaced: restore it or restart Essaim"
        raise UnavailableError(reason, lasting=True)

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a mistake in this adapter
        except sqlite3.DatabaseError as error:
            raise UnavailableError(f"the database {self._path} does not answer: {error}") from error

    def _checkpoint(self) -> None:
        """Copy the log into the file, while nobody can write.

        A commit in the middle of a checkpoint can lose data in SQLite before 3.51.3 (sqlite.org/wal.html#walresetbug),
        and many systems have an older one. So SQLite's own checkpoints are off, and this one holds the write lock.
        """
        with suppress(sqlite3.OperationalError):  # the next one will do
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._keeper.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                self._writer.execute("ROLLBACK")
