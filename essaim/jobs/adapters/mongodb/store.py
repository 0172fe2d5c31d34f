"""The job store in MongoDB 6 or later, a replica set or a single server; see docs/decisions/0009-mongodb.md.

Leases are decided by the clocks of the processes that use the store. A clock that is ahead of another by some seconds
ends the other's leases so much earlier: fencing makes that harmless, and `lease_seconds` well over it makes it rare.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Concatenate, ParamSpec, TypeVar

from essaim.jobs.adapters.batches import Batches
from essaim.jobs.adapters.lease_time import FORGET_LEASES
from essaim.jobs.adapters.mongodb import first_attempt, jobs, merge_claim, tasks
from essaim.jobs.adapters.mongodb.database import Database, open_database
from essaim.jobs.adapters.mongodb.documents import worker_from, worker_to
from essaim.jobs.adapters.values import stamp
from essaim.jobs.model import Busy, Claim, Claimed, Ended, Job, Page, Problem, State, Task, Worker

P = ParamSpec("P")
T = TypeVar("T")

RESULTS_AT_ONCE = 32  # results in memory; a cursor would time out during a long merge


@asynccontextmanager
async def open_mongodb_store(url: str, lease_seconds: float) -> AsyncIterator["MongoStore"]:
    """The jobs in the database that the URL names, or in `essaim`. Raises as `open_database`."""
    async with open_database(url) as database:
        yield MongoStore(database, timedelta(seconds=lease_seconds))


class MongoStore:
    """See `essaim.jobs.ports.JobStore`."""

    def __init__(self, database: Database, lease: timedelta) -> None:
        self._database = database
        self._lease = lease
        self._submissions = Batches[Job, Job](lambda asked: self._do(jobs.submit, asked))
        self._begun = Batches[tuple[Job, str], Claimed | None](
            lambda asked: self._do(first_attempt.begin, asked, lease)
        )
        self._concluded = Batches[tuple[Claim, bytes], bool](lambda asked: self._do(first_attempt.conclude, asked))

    async def submit(self, job: Job) -> Job:
        return await self._submissions.ask(job)

    async def begin(self, job: Job, worker: str) -> Claimed | None:
        with self._database.answering():
            return await self._begun.ask((job, worker))

    async def conclude(self, claim: Claim, result: bytes) -> bool:
        return await self._concluded.ask((claim, result))

    async def get(self, job_id: str) -> Job:
        return await self._do(jobs.get, job_id)

    async def plan(self, job_id: str, run: int, inputs: Sequence[bytes]) -> int:
        return await self._do(tasks.plan, job_id, run, inputs)

    async def tasks(
        self, job_id: str, *, states: Collection[State] = (), after: int = -1, limit: int = 100
    ) -> Sequence[Task]:
        return await self._do(tasks.list_page, job_id, states, after, limit)

    async def claim(self, job_id: str, number: int, worker: str) -> Claimed | Busy | Ended:
        return await self._do(tasks.claim, job_id, number, worker, self._lease)

    async def beat(self, claim: Claim, progress: float | None = None, checkpoint: bytes | None = None) -> bool:
        return await self._do(tasks.beat, claim, progress, checkpoint, self._lease)

    async def release(self, claim: Claim, problem: Problem | None = None) -> None:
        await self._do(tasks.release, claim, problem)

    async def finish(self, claim: Claim, outcome: bytes | Problem) -> bool:
        return await self._do(tasks.finish, claim, outcome)

    async def results(self, job_id: str) -> AsyncIterator[bytes]:
        after = -1
        while page := await self._do(tasks.results, job_id, after, RESULTS_AT_ONCE):
            for _, result in page:
                yield result
            after = page[-1][0]

    async def complete(self, claim: Claim, outcome: bytes | Problem) -> bool:
        return await self._do(merge_claim.complete, claim, outcome)

    async def cancel(self, job_id: str) -> Job:
        return await self._do(jobs.cancel, job_id)

    async def revive(
        self, job_id: str, run: int, release: str, taken_from: str | None = None, *, anew: bool = False
    ) -> Job:
        return await self._do(jobs.revive, job_id, run, release, taken_from, anew)

    async def counts(self) -> dict[str, dict[State, int]]:
        return await self._do(jobs.counts)

    async def report(self, worker: Worker, *, gone: bool = False) -> None:
        await self._do(_report, worker, gone, FORGET_LEASES * self._lease)

    async def workers(self) -> Sequence[Worker]:
        return await self._do(_workers, self._lease)

    async def purge(self, before: datetime, limit: int = 1000) -> Sequence[str]:
        return await self._do(jobs.purge, before, limit)

    async def list(
        self,
        *,
        states: Collection[State] = (),
        release: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        return await self._do(jobs.list_page, states, release, limit, cursor)

    async def _do(self, step: Callable[Concatenate[Database, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._database.answering():
            return await step(self._database, *args, **kwargs)


async def _report(db: Database, worker: Worker, gone: bool, forget: timedelta) -> None:
    if gone:
        await db.workers.delete_one({"_id": worker.id})
    else:
        await db.workers.replace_one({"_id": worker.id}, worker_to(worker), upsert=True)
    now = datetime.now(UTC)
    await db.workers.delete_many(
        {"$or": [{"seen": {"$lt": stamp(now - forget)}}, {"seen": {"$gt": stamp(now + forget)}}]}
    )


async def _workers(db: Database, lease: timedelta) -> Sequence[Worker]:
    """All there are: each is one process, and the silent are deleted. A time far ahead is from before a clock was set back."""
    now = datetime.now(UTC)
    found = db.workers.find({"seen": {"$gte": stamp(now - lease), "$lte": stamp(now + lease)}}).sort(
        [("started", 1), ("_id", 1)]
    )
    return [worker_from(one) async for one in found]
