"""The claim to merge a job: the field `merge` of its document."""

from datetime import UTC, datetime, timedelta

from essaim.jobs.adapters.lease_time import lost, seconds_left
from essaim.jobs.adapters.mongodb.database import Database
from essaim.jobs.adapters.mongodb.documents import OPEN, Document, readable, run_of
from essaim.jobs.adapters.mongodb.jobs import head, is_ended, known_head, plans_of
from essaim.jobs.adapters.values import problem_to, stamp
from essaim.jobs.model import MERGE, Busy, Claim, Claimed, Problem


async def claim(db: Database, job: Document, worker: str, lease: timedelta) -> Claimed | Busy | None:
    """Call this when all tasks have succeeded. None: another worker was faster, so read the job again."""
    now, before = datetime.now(UTC), job.get("merge") or {}
    until = before.get("lease_until")
    if until and (seconds := seconds_left(until, now, lease)):
        return Busy(seconds)
    attempt, lost = before.get("attempts", 0) + 1, before.get("lost", 0) + (until is not None)
    seen = {f"merge.{name}": before.get(name) for name in ("attempts", "lease_until")}
    wanted = {"_id": job["_id"], "run": run_of(job), "state": {"$in": OPEN}, **seen}
    fields = {"attempts": attempt, "lost": lost, "worker": worker, "lease_until": stamp(now + lease)}
    change = {"state": "running", "started": job.get("started") or stamp(now), "merge": fields}
    if not (await db.jobs.update_one(wanted, {"$set": change})).matched_count:
        return None
    right = Claim(job["_id"], MERGE, attempt, worker, run_of(job))
    return Claimed(right, input=None, checkpoint=None, failures=0, lost=lost)


async def beat(db: Database, claim: Claim, lease: timedelta) -> bool:
    return await _change(db, claim, {"merge.lease_until": stamp(datetime.now(UTC) + lease)})


async def release(db: Database, claim: Claim) -> None:
    if not await _change(db, claim, {"merge.lease_until": None}):
        raise lost(claim)


async def complete(db: Database, claim: Claim, outcome: bytes | Problem) -> bool:
    """Delete the results of the tasks if the job has succeeded; if it has failed, a retry merges them again."""
    fields: Document = {"ended": stamp(), "progress": 1.0}
    if isinstance(outcome, Problem):
        return await _change(db, claim, {**fields, "state": "failed", "problem": problem_to(outcome)})
    fields |= {"state": "succeeded", "problem": None, "result": readable(outcome)}
    completed = await _change(db, claim, fields)
    if completed:  # a crash before this leaves them until the job is purged
        job = await known_head(db, claim.job_id)
        await db.tasks.update_many({"plan": {"$in": plans_of(job)}}, {"$unset": {"result": ""}})
    return completed


async def _change(db: Database, claim: Claim, fields: Document) -> bool:
    """False: the job has ended in this run. Raises `LeaseLostError` unless this claim is the latest and not released."""
    held = {"merge.attempts": claim.attempt, "merge.lease_until": {"$ne": None}}
    wanted = {"_id": claim.job_id, "run": claim.run, "state": {"$in": OPEN}, **held}
    if (await db.jobs.update_one(wanted, {"$set": fields})).matched_count:
        return True
    job = await head(db, claim.job_id)
    if job is not None and run_of(job) == claim.run and is_ended(job):
        return False
    raise lost(claim)
