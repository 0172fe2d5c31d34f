"""The first attempt of a job with one task. Most jobs need no other: then only the job's document is written, three times:
submitted, claimed, ended.

The first attempt is the field `first` of the job. While it exists it is task 0, whatever is in `tasks`, and it never
changes. Anything else that happens to the task (a beat, a plan, another claim, a failure) first turns it into a document
of its own: `materialise_first_task`. So attempt 1 can end the job in one write exactly as long as nothing else has happened.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from essaim.jobs.adapters.mongodb.database import Database
from essaim.jobs.adapters.mongodb.documents import Document, first_task, job_to, readable
from essaim.jobs.adapters.mongodb.jobs import is_ended, known_head
from essaim.jobs.adapters.values import stamp
from essaim.jobs.model import Claim, Claimed, Job

UNTOUCHED: Document = {"state": "queued", "run": 1, "tasks": None, "first": None}


async def begin(
    db: Database, asked: Sequence[tuple[Job, str]], lease: timedelta
) -> Sequence[Claimed | BaseException | None]:
    """Claim all in one write. If that has not claimed all, check each: it may not be inserted yet."""
    changes = [(job, _taken(worker, lease)) for job, worker in asked]
    updates = [UpdateOne(_untouched(job), {"$set": fields}) for job, fields in changes]
    taken = (await db.jobs.bulk_write(updates, ordered=False)).matched_count
    claims = [first_claim(job.id, worker) for job, worker in asked]
    if taken == len(claims):
        return claims
    looks = (_is_mine(db, job, fields, taken > 0) for job, fields in changes)
    found = await asyncio.gather(*looks, return_exceptions=True)
    return [
        mine if isinstance(mine, BaseException) else claim if mine else None
        for claim, mine in zip(claims, found, strict=True)
    ]


async def take(db: Database, job_id: str, worker: str, lease: timedelta) -> bool:
    """Claim a job that exists, if nobody has."""
    return (await db.jobs.update_one({"_id": job_id, **UNTOUCHED}, {"$set": _taken(worker, lease)})).matched_count > 0


def first_claim(job_id: str, worker: str) -> Claimed:
    return Claimed(Claim(job_id, 0, 1, worker), input=None, checkpoint=None, failures=0, lost=0)


async def conclude(db: Database, asked: Sequence[tuple[Claim, bytes]]) -> list[bool]:
    """End all in one write. If that has not ended all, check each: an earlier call whose answer was lost may have."""
    fields = {"state": "succeeded", "tasks": 1, "progress": 1.0, "ended": stamp()}
    updates = [
        UpdateOne({**_held(claim), "state": "running", "tasks": None}, {"$set": {**fields, "result": readable(result)}})
        for claim, result in asked
    ]
    if (await db.jobs.bulk_write(updates, ordered=False)).matched_count == len(updates):
        return [True] * len(asked)
    ended = [{**_held(claim), "state": "succeeded"} for claim, _ in asked]
    return [found is not None for found in await asyncio.gather(*(db.jobs.find_one(one, {"_id": 1}) for one in ended))]


async def materialise_first_task(db: Database, job: Document) -> Document:
    """Store task 0 as a document like the others. Returns the job's head as it is then."""
    if job.get("first") is None or is_ended(job):
        return job
    with suppress(DuplicateKeyError):  # another process does the same
        await db.tasks.insert_one(first_task(job))
    seen = {"_id": job["_id"], "first": job["first"], "state": "running"}
    if (await db.jobs.update_one(seen, {"$set": {"first": None}})).matched_count:
        return {**job, "first": None}
    return await known_head(db, job["_id"])


def _taken(worker: str, lease: timedelta) -> Document:
    now = datetime.now(UTC)
    first = {"claim": uuid4().hex, "worker": worker, "started": stamp(now), "lease_until": stamp(now + lease)}
    return {"state": "running", "started": stamp(now), "first": first}


def _held(claim: Claim) -> Document:
    """While `first` exists it is attempt 1 of run 1, and no other."""
    return {"_id": claim.job_id, "first.worker": claim.worker, "run": 1 if claim.run == claim.attempt == 1 else None}


def _untouched(job: Job) -> Document:
    return {"_id": job.id, "release": job.release, **UNTOUCHED}


async def _is_mine(db: Database, job: Job, fields: Document, perhaps: bool) -> bool:
    """Whether the write for all has claimed it. If it did not exist, insert it as claimed."""
    if perhaps:
        key = {"_id": job.id, "first.claim": fields["first"]["claim"]}
        if await db.jobs.find_one(key, {"_id": 1}) is not None:
            return True
    try:
        await db.jobs.insert_one({**job_to(job), **fields})
    except DuplicateKeyError:  # it exists: was it inserted only just now?
        return (await db.jobs.update_one(_untouched(job), {"$set": fields})).matched_count > 0
    return True
