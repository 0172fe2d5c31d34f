"""The processes that hold messages, a row for each. One that does not renew its row counts as dead."""

import asyncio
import logging
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

from essaim.errors import UnavailableError
from essaim.jobs.adapters.sqlite.database import Database
from essaim.jobs.adapters.values import stamp, to_json
from essaim.telemetry import log

RENEW_SECONDS = 1.0
DEAD_SECONDS = 5.0  # without renewal; a stalled process is no harm, since the lease in the store decides


class Hold(NamedTuple):
    """A message held by a consumer."""

    message: int
    consumer: str


class SqliteConsumer:
    """This process among the consumers of the file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id = ""
        self._holds: set[Hold] = set()
        self._renewing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Renew from now on, until `leave`."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    async def leave(self) -> None:
        """Give back all unsettled messages at once."""
        if self._renewing is None:
            return
        self._renewing.cancel()
        with suppress(asyncio.CancelledError):
            await self._renewing
        with suppress(UnavailableError):  # then the others notice in a few seconds
            await self._database.write(self._sign_out)

    def hold(self, db: sqlite3.Connection, message: int) -> Hold:
        """Take a free message, inside the caller's transaction."""
        hold = Hold(message, self._sign_in(db))
        db.execute("UPDATE messages SET consumer = ? WHERE id = ?", (hold.consumer, message))
        self._holds.add(hold)
        return hold

    def let_go(self, hold: Hold) -> None:
        """The message is settled or, if settling failed, returns to the queue with the next renewal."""
        self._holds.discard(hold)

    async def _renew(self) -> None:
        missed = False
        while True:
            try:
                await self._database.write(self._renew_once)
                missed = False
            except UnavailableError as error:
                if not missed:  # one line for an outage
                    log("consumer.renewal_missed", level=logging.WARNING, reason=error)
                missed = True
            await asyncio.sleep(RENEW_SECONDS)

    def _renew_once(self, db: sqlite3.Connection) -> None:
        consumer = self._sign_in(db)
        held = to_json([hold.message for hold in tuple(self._holds) if hold.consumer == consumer])
        sql = "UPDATE messages SET consumer = NULL WHERE consumer = ? AND id NOT IN (SELECT value FROM json_each(?))"
        db.execute(sql, (consumer, held))
        db.execute("DELETE FROM consumers WHERE seen NOT BETWEEN ? AND ?", signs_of_life())

    def _sign_in(self, db: sqlite3.Connection) -> str:
        """If others have declared this consumer dead, it no longer owns its messages, so it gets a new name."""
        if not db.execute("UPDATE consumers SET seen = ? WHERE id = ?", (stamp(), self._id)).rowcount:
            self._id = uuid4().hex
            db.execute("INSERT INTO consumers (id, seen) VALUES (?, ?)", (self._id, stamp()))
        return self._id

    def _sign_out(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM consumers WHERE id = ?", (self._id,))


def signs_of_life() -> tuple[str, str]:
    """A consumer last seen outside these times is dead: one seen in the future has not renewed since a clock was set back."""
    now, dead = datetime.now(UTC), timedelta(seconds=DEAD_SECONDS)
    return stamp(now - dead), stamp(now + dead)
