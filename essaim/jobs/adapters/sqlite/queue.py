"""The queue in a SQLite file."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from cloudevents.core.v1.event import CloudEvent

from essaim.errors import MessageUnreadableError, QueueFullError
from essaim.jobs.adapters.sqlite.consumer import SqliteConsumer, signs_of_life
from essaim.jobs.adapters.sqlite.database import Database, open_database
from essaim.jobs.adapters.sqlite.deliveries import SqliteDeliveries, SqliteDelivery
from essaim.jobs.adapters.values import stamp
from essaim.jobs.events import dump, load
from essaim.jobs.model import DeadLetter, Depth

REPLAY_BATCH = 500  # dead letters in memory, and in one transaction


@asynccontextmanager
async def open_sqlite_queue(url: str, release: str, max_length: int) -> AsyncIterator["SqliteQueue"]:
    """The queue of a release, of at most `max_length` messages. Raises as `open_database`.

    Closing it gives back what was delivered and not settled.
    """
    async with open_database(url) as database:
        consumer = SqliteConsumer(database)
        try:
            yield SqliteQueue(database, consumer, release, max_length)
        finally:
            await consumer.leave()


class SqliteQueue:
    """See `essaim.jobs.ports.JobQueue`."""

    def __init__(self, database: Database, consumer: SqliteConsumer, release: str, max_length: int) -> None:
        self._database = database
        self._consumer = consumer
        self._release = release
        self._max_length = max_length

    async def publish(self, events: Sequence[CloudEvent], *, delay: float = 0.0) -> None:
        bodies = [dump(event) for event in events]
        await self._database.write(self._insert, bodies, delay, durable=True)

    def notify(self, event: CloudEvent) -> None:
        """Nobody can listen to a file."""

    @asynccontextmanager
    async def deliveries(self, prefetch: int) -> AsyncIterator[AsyncIterator[SqliteDelivery]]:
        self._consumer.start()
        deliveries = SqliteDeliveries(self._database, self._consumer, self._release, prefetch)
        try:
            yield deliveries
        finally:
            await deliveries.close()

    async def depth(self) -> Depth:
        return await self._database.read(self._depth)

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLetter]:
        return await self._database.read(self._dead_letters, limit)

    async def replay(self, ids: Collection[str] | None, revise: Callable[[CloudEvent], CloudEvent]) -> int:
        after, replayed = 0, 0
        last = await self._database.read(self._last_dead)  # what is parked again meanwhile stays
        while letters := await self._database.read(self._dead, after, REPLAY_BATCH):
            chosen = [row for row in letters if row["id"] <= last and (ids is None or str(row["id"]) in ids)]
            revised = [(row["id"], _revised(row["body"], revise)) for row in chosen]
            replayed += await self._database.write(self._move, revised, durable=True)
            after = letters[-1]["id"]
        return replayed

    async def purge(self, before: datetime) -> int:
        return await self._database.write(self._purge, before)

    def _insert(self, db: sqlite3.Connection, bodies: Sequence[bytes], delay: float = 0.0) -> None:
        if not delay and self._length(db) + len(bodies) > self._max_length:
            raise QueueFullError(f"the queue of {self._release} is full: it takes {self._max_length} messages")
        now = datetime.now(UTC)
        times = (stamp(now), stamp(now + timedelta(seconds=delay))) if delay else (None, None)
        rows = [(self._release, *times, body) for body in bodies]
        db.executemany("INSERT INTO messages (release, delayed, due, body) VALUES (?, ?, ?, ?)", rows)

    def _length(self, db: sqlite3.Connection) -> int:
        row = db.execute("SELECT length FROM queues WHERE release = ?", (self._release,)).fetchone()
        return row["length"] if row else 0

    def _depth(self, db: sqlite3.Connection) -> Depth:
        """Messages of dead consumers count as ready, even before any process has freed them."""
        sql = (
            "SELECT count(*) FROM consumers JOIN messages ON messages.consumer = consumers.id "
            "WHERE consumers.seen BETWEEN ? AND ? AND messages.release = ?"
        )
        in_flight = db.execute(sql, (*signs_of_life(), self._release)).fetchone()[0]
        sql = "SELECT count(*) FROM messages WHERE release = :release AND due > :now AND ifnull(delayed, '') <= :now"
        delayed = db.execute(sql, {"release": self._release, "now": stamp()}).fetchone()[0]
        return Depth(ready=self._length(db) - in_flight - delayed, in_flight=in_flight)

    def _dead(self, db: sqlite3.Connection, after: int, limit: int) -> list[sqlite3.Row]:
        sql = "SELECT id, reason, parked, body FROM dead_letters WHERE release = ? AND id > ? ORDER BY id LIMIT ?"
        return db.execute(sql, (self._release, after, limit)).fetchall()

    def _dead_letters(self, db: sqlite3.Connection, limit: int) -> list[DeadLetter]:
        return [_dead_letter(row) for row in self._dead(db, 0, limit)]

    def _last_dead(self, db: sqlite3.Connection) -> int:
        sql = "SELECT coalesce(max(id), 0) FROM dead_letters WHERE release = ?"
        last: int = db.execute(sql, (self._release,)).fetchone()[0]
        return last

    def _move(self, db: sqlite3.Connection, revised: Sequence[tuple[int, bytes]]) -> int:
        """Put them back into the queue, except those that another process has replayed meanwhile."""
        bodies = [body for id_, body in revised if db.execute("DELETE FROM dead_letters WHERE id = ?", (id_,)).rowcount]
        self._insert(db, bodies)
        return len(bodies)

    def _purge(self, db: sqlite3.Connection, before: datetime) -> int:
        sql = "DELETE FROM dead_letters WHERE release = ? AND parked < ?"
        return db.execute(sql, (self._release, stamp(before))).rowcount


def _dead_letter(row: sqlite3.Row) -> DeadLetter:
    try:
        load(row["body"])
        event = json.loads(row["body"])
    except MessageUnreadableError:
        event = None
    parked = datetime.fromisoformat(row["parked"])
    return DeadLetter(str(row["id"]), row["reason"], parked, event, row["body"])


def _revised(body: bytes, revise: Callable[[CloudEvent], CloudEvent]) -> bytes:
    try:
        event = load(body)
    except MessageUnreadableError:
        return body
    return dump(revise(event))
