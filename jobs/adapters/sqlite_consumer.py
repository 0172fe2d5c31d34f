"""Who holds messages: a row for each consuming process. Whoever does not renew it is taken for dead."""

import asyncio
import logging
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from jobs.adapters.sqlite import Database, stamp
from jobs.errors import UnavailableError
from jobs.telemetry import log

RENEW_SECONDS = 1.0
DEAD_SECONDS = 5.0  # without renewal; a stalled process is no harm, since the lease in the store decides


class SqliteConsumer:
    """This process among the consumers of the file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id: int | None = None
        self._renewing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Renew from now on, until `leave`."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    async def leave(self) -> None:
        """Give back at once all that is unsettled."""
        if self._renewing is None:
            return
        self._renewing.cancel()
        with suppress(asyncio.CancelledError):
            await self._renewing
        with suppress(UnavailableError):  # then the others notice in a few seconds
            await self._database.write(self._sign_out)

    def sign_in(self, db: sqlite3.Connection) -> int:
        """The number under which to hold messages. A new one if the others have given up the last: its messages are gone."""
        renewed = db.execute("UPDATE consumers SET seen = ? WHERE id = ?", (stamp(), self._id)).rowcount
        if self._id is None or not renewed:
            self._id = db.execute("INSERT INTO consumers (seen) VALUES (?)", (stamp(),)).lastrowid
        assert self._id is not None  # noqa: S101  # an INSERT has a row id
        return self._id

    def _sign_out(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM consumers WHERE id = ?", (self._id,))

    async def _renew(self) -> None:
        while True:
            try:
                await self._database.write(self._renew_once)
            except UnavailableError as error:
                log("consumer.renewal_missed", level=logging.WARNING, reason=error)
            await asyncio.sleep(RENEW_SECONDS)

    def _renew_once(self, db: sqlite3.Connection) -> None:
        self.sign_in(db)
        db.execute("DELETE FROM consumers WHERE seen < ?", (last_sign_of_life(),))


def last_sign_of_life() -> str:
    """Consumers not seen since then are dead."""
    return stamp(datetime.now(UTC) - timedelta(seconds=DEAD_SECONDS))
