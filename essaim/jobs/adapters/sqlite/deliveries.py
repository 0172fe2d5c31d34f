"""Deliveries to one consumer."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from cloudevents.core.v1.event import CloudEvent

from essaim.errors import MessageUnreadableError, UnavailableError
from essaim.jobs.adapters.sqlite.consumer import Hold, SqliteConsumer
from essaim.jobs.adapters.sqlite.database import Database
from essaim.jobs.adapters.values import stamp, storable
from essaim.jobs.events import load

POLL_SECONDS = 0.05  # a message waits half of it on average

# Also due: messages whose delay began in the future. A clock was set back since, and nobody knows by how much.
_DUE = "release = :release AND due IS NOT NULL AND (due <= :now OR delayed > :now)"

Statement = tuple[str, tuple[object, ...]]


class SqliteDelivery:
    """A held message. Every statement is conditional on the holder, so it settles nothing that it no longer holds.

    When settling fails, the message is delivered again, as if its process had died.
    """

    def __init__(self, event: CloudEvent, hold: Hold, database: Database, over: Callable[[Hold], None]) -> None:
        self._event = event
        self._hold = hold
        self._database = database
        self._over = over
        self._settled = False

    @property
    def event(self) -> CloudEvent:
        return self._event

    async def ack(self) -> None:
        await self._settle([_removal(self._hold)])

    async def release(self) -> None:
        await self._settle([("UPDATE messages SET consumer = NULL WHERE id = ? AND consumer = ?", self._hold)])

    async def retry(self, delay: float) -> None:
        now = datetime.now(UTC)
        statement = "UPDATE messages SET consumer = NULL, delayed = ?, due = ? WHERE id = ? AND consumer = ?"
        await self._settle([(statement, (stamp(now), stamp(now + timedelta(seconds=delay)), *self._hold))])

    async def park(self, reason: str) -> None:
        await self._settle(_parking(self._hold, reason))

    async def _settle(self, statements: list[Statement]) -> None:
        if not self._settled:
            try:
                await self._database.write(_execute, statements)
                self._settled = True
            finally:
                self._over(self._hold)


class SqliteDeliveries:
    """An iterator of deliveries, at most `prefetch` unsettled at a time."""

    def __init__(self, database: Database, consumer: SqliteConsumer, release: str, prefetch: int) -> None:
        self._database = database
        self._consumer = consumer
        self._release = release
        self._prefetch = prefetch
        self._unsettled: set[Hold] = set()
        self._pending: asyncio.Task[SqliteDelivery | None] | None = None
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()
        self._closed = False
        self._more = False  # the last attempt to take a message took one, so it is worth another without a look
        self._version: int | None = None  # of the file when nothing was ready
        self._due: str | None = None  # when the first delayed message will be
        self._looked = ""  # when nothing was ready; a time before that says that the clock was set back

    def __aiter__(self) -> "SqliteDeliveries":
        return self

    async def __anext__(self) -> SqliteDelivery:
        async with self._turn:
            if self._closed:
                raise StopAsyncIteration
            pending = self._pending = self._pending or asyncio.create_task(self._next())
            await asyncio.wait({pending})  # a caller who is cancelled here leaves the message to the next call
            if self._closed:
                raise StopAsyncIteration  # `close` gives the message back
            self._pending = None
            delivery = pending.result()
            assert delivery is not None  # noqa: S101  # it is only when closed
            return delivery

    async def close(self) -> None:
        """Hand out no more, and give back what was not handed out."""
        self._closed = True
        self._moved.set()
        if self._pending is not None:
            await asyncio.wait({self._pending})
            with suppress(UnavailableError):  # then the message comes back when the queue is closed
                if delivery := self._pending.result():
                    await delivery.release()

    async def _next(self) -> SqliteDelivery | None:
        while not self._closed:
            if len(self._unsettled) >= self._prefetch:
                self._moved.clear()
                await self._moved.wait()
            elif not (self._more or await self._something_ready()):
                await asyncio.sleep(POLL_SECONDS)
            elif taken := await self._database.write(self._take):
                hold, body = taken
                self._more = True
                try:
                    event = load(body)
                except MessageUnreadableError as error:
                    self._consumer.let_go(hold)
                    await self._database.write(_execute, _parking(hold, str(error)))
                else:
                    self._unsettled.add(hold)
                    return SqliteDelivery(event, hold, self._database, self._over)
            else:
                self._more = False
        return None

    def _over(self, hold: Hold) -> None:
        self._consumer.let_go(hold)
        self._unsettled.discard(hold)
        self._moved.set()

    async def _something_ready(self) -> bool:
        """Query only if the file has changed since the last query, or the first delayed message is due."""
        version, now = self._database.version(), stamp()
        if version is not None and version == self._version and (self._due is None or self._looked <= now < self._due):
            return False
        ready, self._due = await self._database.read(self._look, now)
        self._version, self._looked = None if ready else version, now
        return ready

    def _look(self, db: sqlite3.Connection, now: str) -> tuple[bool, str | None]:
        sql = "SELECT 1 FROM messages WHERE release = ? AND consumer IS NULL AND due IS NULL LIMIT 1"
        ready = db.execute(sql, (self._release,)).fetchone() is not None
        sql = f"SELECT 1 FROM messages WHERE {_DUE} LIMIT 1"  # noqa: S608  # a constant
        ready = ready or db.execute(sql, {"release": self._release, "now": now}).fetchone() is not None
        sql = "SELECT min(due) FROM messages WHERE release = ? AND due IS NOT NULL"
        return ready, db.execute(sql, (self._release,)).fetchone()[0]

    def _take(self, db: sqlite3.Connection) -> tuple[Hold, bytes] | None:
        sql = f"UPDATE messages SET due = NULL WHERE {_DUE}"  # noqa: S608  # a constant
        db.execute(sql, {"release": self._release, "now": stamp()})
        sql = "SELECT id, body FROM messages WHERE release = ? AND consumer IS NULL AND due IS NULL ORDER BY id LIMIT 1"
        row = db.execute(sql, (self._release,)).fetchone()
        return (self._consumer.hold(db, row["id"]), row["body"]) if row else None


def _execute(db: sqlite3.Connection, statements: list[Statement]) -> None:
    for sql, values in statements:
        db.execute(sql, values)


def _removal(hold: Hold) -> Statement:
    return "DELETE FROM messages WHERE id = ? AND consumer = ?", hold


def _parking(hold: Hold, reason: str) -> list[Statement]:
    sql = (
        "INSERT INTO dead_letters (release, reason, parked, body) "
        "SELECT release, ?, ?, body FROM messages WHERE id = ? AND consumer = ?"
    )
    return [(sql, (storable(reason), stamp(), *hold)), _removal(hold)]
