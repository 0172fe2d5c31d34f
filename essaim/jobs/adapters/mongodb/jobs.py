"""Jobs: each changes by one write, to its own document.

Progress is computed from the tasks: there is no counter that a crash could leave wrong.
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.errors import BulkWriteError

from essaim.errors import JobNotFoundError, UnavailableError
from essaim.jobs.adapters.mongodb.database import PAUSE_SECONDS, TRIES, Database, duplicates
from essaim.jobs.adapters.mongodb.documents import (
    OPEN,
    Document,
    Tally,
    job_from,
    job_to,
    plan_id,
    run_of,
    task_id,
)
from essaim.jobs.adapters.values import cursor_at, parse_cursor, stamp
from essaim.jobs.model import Job, Page, State

HEAD = dict.fromkeys(("state", "run", "tasks", "plan", "started", "ended", "purged", "first", "anew", "merge"), 1)
SHOWN = {"result": 0, "first_input": 0}


async def submit(db: Database, jobs: Sequence[Job]) -> list[Job]:
    """Insert all in one write. Where the id exists, the answer is the earlier job."""
    there: set[int] = set()
    try:
        await db.jobs.insert_many([job_to(job) for job in jobs], ordered=False)
    except BulkWriteError as error:
        there = duplicates(error)
    return [await _earlier(db, job.id) if number in there else job for number, job in enumerate(jobs)]


async def _earlier(db: Database, job_id: str) -> Job:
    """It may exist before a majority has it, and so before it can be read: retry instead of saying that there is none."""
    for _ in range(TRIES):
        with suppress(JobNotFoundError):
            return await get(db, job_id)
        await asyncio.sleep(PAUSE_SECONDS)
    raise UnavailableError(f"job {job_id} exists but cannot be read yet")


async def get(db: Database, job_id: str) -> Job:
    job = await db.jobs.find_one({"_id": job_id}, {"first_input": 0})
    if job is None:
        raise JobNotFoundError(f"there is no job {job_id}")
    return job_from(job, await tally(db, job))


async def head(db: Database, job_id: str, **more: int) -> Document | None:
    """The fields that decide about the tasks of a job."""
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
    """Fail the job, because one of its tasks has failed in this run, unless it has ended already."""
    await _end(db, job, {"state": "failed", "problem": problem})


async def revive(db: Database, job_id: str, run: int, release: str, taken_from: str | None, anew: bool) -> Job:
    """Tasks that did not succeed now belong to an earlier run, which makes them queued."""
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
    """Exact counts, from the index of releases and states: the sort makes the server choose that index."""
    pipeline: list[dict[str, Any]] = [
        {"$sort": {"release": 1, "state": 1}},
        {"$group": {"_id": {"release": "$release", "state": "$state"}, "jobs": {"$sum": 1}}},
    ]
    found: dict[str, dict[State, int]] = {}
    async for group in await db.jobs.aggregate(pipeline):
        found.setdefault(group["_id"]["release"], {})[State(group["_id"]["state"])] = group["jobs"]
    return found


async def purge(db: Database, before: datetime, limit: int) -> list[str]:
    """Mark the jobs first, so that none is revived while its tasks are deleted. After a crash the next purge continues."""
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


async def list_page(
    db: Database, states: Collection[State], release: str | None, limit: int, cursor: str | None
) -> Page:
    """With a release and no states, the query names all states: only then does the index of releases return them in order."""
    query: Document = {}
    if states or release is not None:
        query["state"] = {"$in": [state.value for state in set(states or State)]}
    if release is not None:
        query["release"] = release
    if cursor is not None:
        created, job_id = parse_cursor(cursor)
        query["created"] = {"$lte": created}
        query["$or"] = [{"created": {"$lt": created}}, {"_id": {"$lt": job_id}}]
    newest_first = [("created", DESCENDING), ("_id", DESCENDING)]
    found = await db.jobs.find(query, SHOWN).sort(newest_first).limit(limit + 1).to_list()
    chosen = found[:limit]
    progress = await tallies(db, chosen)
    shown = [job_from(job, progress.get(job["_id"], Tally())) for job in chosen]
    return Page(shown, cursor_at(chosen[-1]["created"], chosen[-1]["_id"]) if len(found) > limit else None)


async def tally(db: Database, job: Document) -> Tally:
    return (await tallies(db, [job])).get(job["_id"], Tally())


async def tallies(db: Database, jobs: Sequence[Document]) -> dict[str, Tally]:
    """By job id; jobs whose tasks have no progress yet are left out."""
    telling = [job for job in jobs if job["state"] in OPEN and not _is_untouched(job)]
    if len(telling) == 1 and (telling[0].get("tasks") or 1) == 1:
        return await _of_single_task(db, telling[0])
    owners = {plan: job["_id"] for job in telling for plan in plans_of(job)}
    found: dict[str, Tally] = {}
    if not owners:
        return found
    # Grouped by all three keys of the index, so that the server reads the index alone, however large the tasks are.
    pipeline: list[Document] = [
        {"$match": {"plan": {"$in": list(owners)}}},
        {"$group": {"_id": {"plan": "$plan", "state": "$state", "progress": "$progress"}, "tasks": {"$sum": 1}}},
    ]
    async for group in await db.tasks.aggregate(pipeline):
        kind, tasks = group["_id"], group["tasks"]
        owner = owners[kind["plan"]]
        ended, progress = found.get(owner, Tally())
        ended += tasks if kind["state"] == State.SUCCEEDED else 0
        found[owner] = Tally(ended, progress + tasks * (kind.get("progress") or 0.0))
    return found


async def all_succeeded(db: Database, job: Document) -> bool:
    """Whether the job is planned and all its tasks have succeeded."""
    if job.get("tasks") is None:
        return False
    if job["tasks"] == 1:
        first = await db.tasks.find_one({"_id": task_id(job, 0, "")}, {"state": 1})
        return first is not None and first["state"] == State.SUCCEEDED
    left = [State.QUEUED.value, State.RUNNING.value, State.FAILED.value]
    return await db.tasks.find_one({"plan": {"$in": plans_of(job)}, "state": {"$in": left}}, {"_id": 1}) is None


def plans_of(job: Document) -> list[str]:
    """The values of `plan` in the tasks of this job: task 0 has one of its own."""
    return [plan_id(job, plan) for plan in {"", job.get("plan") or ""}]


def _is_untouched(job: Document) -> bool:
    """No task of it has any progress yet."""
    return (job["state"] == State.QUEUED and run_of(job) == 1) or job.get("first") is not None


async def _of_single_task(db: Database, job: Document) -> dict[str, Tally]:
    first = await db.tasks.find_one({"_id": task_id(job, 0, "")}, {"state": 1, "progress": 1})
    if first is None:
        return {}
    return {job["_id"]: Tally(int(first["state"] == State.SUCCEEDED), first.get("progress", 0.0))}


async def _end(db: Database, job: Document, fields: Document) -> bool:
    progress = (await tally(db, job)).progress / (job.get("tasks") or 1)
    wanted = {"_id": job["_id"], "run": run_of(job), "state": {"$in": OPEN}}
    change = {"$set": {**fields, "ended": stamp(), "progress": progress}}
    return (await db.jobs.update_one(wanted, change)).matched_count > 0
