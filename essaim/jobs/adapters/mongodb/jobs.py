"""What happens to jobs, each by the change of one document."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from pymongo.errors import BulkWriteError

from essaim.errors import JobNotFoundError, UnavailableError
from essaim.jobs.adapters.mongodb.database import PAUSE_SECONDS, TRIES, Database, duplicates
from essaim.jobs.adapters.mongodb.documents import (
    OPEN,
    Document,
    Tally,
    job_from,
    job_to,
    run_of,
    stamp,
)
from essaim.jobs.adapters.mongodb.progress import tallies, tally
from essaim.jobs.model import Job, State

HEAD = {
    "state": 1,
    "run": 1,
    "tasks": 1,
    "plan": 1,
    "started": 1,
    "ended": 1,
    "purged": 1,
    "first": 1,
    "anew": 1,
    "merge": 1,
}


async def submit(db: Database, jobs: Sequence[Job]) -> list[Job]:
    """All in one write. The earlier one is the answer where the id is there."""
    there: set[int] = set()
    try:
        await db.jobs.insert_many([job_to(job) for job in jobs], ordered=False)
    except BulkWriteError as error:
        there = duplicates(error)
    return [await _earlier(db, job.id) if number in there else job for number, job in enumerate(jobs)]


async def _earlier(db: Database, job_id: str) -> Job:
    """It can be there before a majority has it, and so before it can be read: never say that it is not found."""
    for _ in range(TRIES):
        with suppress(JobNotFoundError):
            return await get(db, job_id)
        await asyncio.sleep(PAUSE_SECONDS)
    raise UnavailableError(f"job {job_id} is there but cannot be read yet")


async def get(db: Database, job_id: str) -> Job:
    job = await _whole(db, job_id)
    return job_from(job, await tally(db, job))


async def head(db: Database, job_id: str, **more: int) -> Document | None:
    """What decides about the tasks of a job."""
    return await db.jobs.find_one({"_id": job_id}, {**HEAD, **more})


async def known_head(db: Database, job_id: str, **more: int) -> Document:
    """Raises `JobNotFoundError`."""
    job = await head(db, job_id, **more)
    if job is None:
        raise JobNotFoundError(f"there is no job {job_id}")
    return job


def is_ended(job: Document) -> bool:
    return State(job["state"]).ended


async def cancel(db: Database, job_id: str) -> Job:
    for _ in range(TRIES):
        job = await known_head(db, job_id)
        if is_ended(job) or await _end(db, job, {"state": "cancelled"}):
            return await get(db, job_id)
        await asyncio.sleep(PAUSE_SECONDS)
    raise UnavailableError(f"job {job_id} changes too fast to be cancelled")


async def fail(db: Database, job: Document, problem: str | None) -> None:
    """A task of the job has failed in its run: so has the job, unless it has ended otherwise."""
    await _end(db, job, {"state": "failed", "problem": problem})


async def revive(db: Database, job_id: str, run: int, release: str, taken_from: str | None, anew: bool) -> Job:
    """Tasks that did not succeed are of an earlier run now, so they are queued."""
    before = await known_head(db, job_id, release=1)
    failed = before["state"] == State.FAILED
    if failed or (before["state"] in OPEN and before["release"] == taken_from):
        fresh = {"state": "queued", "run": run, "problem": None, "started": None, "ended": None, "progress": None}
        fresh["retried"] = stamp()
        if before["release"] != release or anew:
            fresh |= {"release": release, "anew": str(run)}
            fresh |= dict.fromkeys(("tasks", "plan", "split_in", "first_input"))
        states = ["failed"] if failed else OPEN
        wanted = {"_id": job_id, "state": {"$in": states}, "run": run - 1, "release": before["release"], "purged": None}
        if before.get("merge"):
            fresh |= {"merge.lost": 0, "merge.lease_until": None}
        await db.jobs.update_one(wanted, {"$set": {**fresh, "first": None}})
    return await get(db, job_id)


async def counts(db: Database) -> dict[str, dict[State, int]]:
    """Exact: counted in the index of releases and states, of which the sort makes the server choose it."""
    pipeline: list[dict[str, Any]] = [
        {"$sort": {"release": 1, "state": 1}},
        {"$group": {"_id": {"release": "$release", "state": "$state"}, "jobs": {"$sum": 1}}},
    ]
    found: dict[str, dict[State, int]] = {}
    async for group in await db.jobs.aggregate(pipeline):
        found.setdefault(group["_id"]["release"], {})[State(group["_id"]["state"])] = group["jobs"]
    return found


async def purge(db: Database, before: datetime, limit: int) -> list[str]:
    """Marked first, so that none is revived while its tasks go; a crash leaves the mark, and the next purge goes on."""
    old = {"ended": {"$lt": stamp(before)}}
    ids = [job["_id"] async for job in db.jobs.find(old, {"_id": 1}).sort("ended", 1).limit(limit)]
    if not ids:
        return []
    await db.jobs.update_many({"_id": {"$in": ids}, **old}, {"$set": {"purged": True}})
    marked = [job["_id"] async for job in db.jobs.find({"_id": {"$in": ids}, "purged": True}, {"_id": 1})]
    for job_id in marked:
        await db.tasks.delete_many({"_id": {"$gte": f"{job_id}/", "$lt": f"{job_id}0"}})
    await db.jobs.delete_many({"_id": {"$in": marked}, "purged": True})
    return marked


async def with_tallies(db: Database, jobs: list[Document]) -> list[Job]:
    found = await tallies(db, jobs)
    return [job_from(job, found.get(job["_id"], Tally())) for job in jobs]


async def _whole(db: Database, job_id: str) -> Document:
    job = await db.jobs.find_one({"_id": job_id}, {"first_input": 0})
    if job is None:
        raise JobNotFoundError(f"there is no job {job_id}")
    return job


async def _end(db: Database, job: Document, fields: Document) -> bool:
    progress = (await tally(db, job)).progress / (job.get("tasks") or 1)
    return await _change_open(db, job, {**fields, "ended": stamp(), "progress": progress})


async def _change_open(db: Database, job: Document, fields: Document) -> bool:
    wanted = {"_id": job["_id"], "run": run_of(job), "state": {"$in": OPEN}}
    return (await db.jobs.update_one(wanted, {"$set": fields})).matched_count > 0
