"""The job store in a SQLite file.

A loss of power may take back only what is then done again: a submission, which its message repeats, a claim, a beat.
"""

import sqlite3
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from essaim.jobs.adapters.lease_time import FORGET_LEASES
from essaim.jobs.adapters.sqlite import jobs, merge_claim, tasks
from essaim.jobs.adapters.sqlite.database import Database, open_database
from essaim.jobs.adapters.sqlite.rows import worker_from
from essaim.jobs.adapters.values import stamp, to_json
from essaim.jobs.model import Busy, Claim, Claimed, Ended, Job, Page, Problem, State, Task, Worker

RESULTS_AT_ONCE = 32  # results in memory; a read that lasts as long as a merge would keep the log from shrinking


@asynccontextmanager
async def open_sqlite_store(url: str, lease_seconds: float) -> AsyncIterator["SqliteStore"]:
    """The jobs in the file. Raises as `open_database`."""
    async with open_database(url) as database:
        yield SqliteStore(database, timedelta(seconds=lease_seconds))


class SqliteStore:
    """See `essaim.jobs.ports.JobStore`."""

    def __init__(self, database: Database, lease: timedelta) -> None:
        self._database = database
        self._lease = lease

    async def submit(self, job: Job) -> Job:
        return await self._database.write(jobs.submit, job)

    async def begin(self, job: Job, worker: str) -> Claimed | None:
        return await self._database.write(tasks.begin, job, worker, self._lease)

    async def conclude(self, claim: Claim, result: bytes) -> bool:
        return await self._database.write(tasks.conclude, claim, result, durable=True)

    async def get(self, job_id: str) -> Job:
        return await self._database.read(jobs.get, job_id)

    async def plan(self, job_id: str, run: int, inputs: Sequence[bytes]) -> int:
        return await self._database.write(tasks.plan, job_id, run, inputs, durable=True)

    async def tasks(
        self, job_id: str, *, states: Collection[State] = (), after: int = -1, limit: int = 100
    ) -> Sequence[Task]:
        return await self._database.read(tasks.list_page, job_id, states, after, limit)

    async def claim(self, job_id: str, number: int, worker: str) -> Claimed | Busy | Ended:
        return await self._database.write(tasks.claim, job_id, number, worker, self._lease)

    async def beat(self, claim: Claim, progress: float | None = None, checkpoint: bytes | None = None) -> bool:
        return await self._database.write(tasks.beat, claim, progress, checkpoint, self._lease)

    async def release(self, claim: Claim, problem: Problem | None = None) -> None:
        await self._database.write(tasks.release, claim, problem)

    async def finish(self, claim: Claim, outcome: bytes | Problem) -> bool:
        return await self._database.write(tasks.finish, claim, outcome, durable=True)

    async def results(self, job_id: str) -> AsyncIterator[bytes]:
        after = -1
        while page := await self._database.read(tasks.results, job_id, after, RESULTS_AT_ONCE):
            for _, result in page:
                yield result
            after = page[-1][0]

    async def complete(self, claim: Claim, outcome: bytes | Problem) -> bool:
        return await self._database.write(merge_claim.complete, claim, outcome, durable=True)

    async def cancel(self, job_id: str) -> Job:
        return await self._database.write(jobs.cancel, job_id, durable=True)

    async def revive(
        self, job_id: str, run: int, release: str, taken_from: str | None = None, *, anew: bool = False
    ) -> Job:
        return await self._database.write(jobs.revive, job_id, run, release, taken_from, anew, durable=True)

    async def counts(self) -> dict[str, dict[State, int]]:
        return await self._database.read(jobs.counts)

    async def report(self, worker: Worker, *, gone: bool = False) -> None:
        await self._database.write(self._report, worker, gone)

    async def workers(self) -> Sequence[Worker]:
        """A time far ahead is from before the clock was set back: that worker has not reported since."""
        now = datetime.now(UTC)
        lately = stamp(now - self._lease), stamp(now + self._lease)
        sql = "SELECT * FROM workers WHERE seen BETWEEN ? AND ? ORDER BY started, id"
        return await self._database.read(lambda db: [worker_from(row) for row in db.execute(sql, lately)])

    async def purge(self, before: datetime, limit: int = 1000) -> Sequence[str]:
        """A transaction for each job, so that thousands of tasks to delete keep nobody waiting."""
        ended = await self._database.read(jobs.ended_before, before, limit)
        return [job_id for job_id in ended if await self._database.write(jobs.delete, job_id, before)]

    async def list(
        self,
        *,
        states: Collection[State] = (),
        release: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        return await self._database.read(jobs.list_page, states, release, limit, cursor)

    def _report(self, db: sqlite3.Connection, worker: Worker, gone: bool) -> None:
        now, forget = datetime.now(UTC), FORGET_LEASES * self._lease
        known = stamp(now - forget), stamp(now + forget)
        db.execute("DELETE FROM workers WHERE id = ? OR seen NOT BETWEEN ? AND ?", (worker.id, *known))
        if not gone:
            times = stamp(worker.started), stamp(worker.seen)
            values = (worker.id, worker.release, *times, worker.concurrency, to_json(worker.tasks))
            sql = "INSERT INTO workers (id, release, started, seen, concurrency, tasks) VALUES (?, ?, ?, ?, ?, ?)"
            db.execute(sql, values)
