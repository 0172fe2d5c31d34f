"""What an attempt does with its task: each a compare-and-set on its document, in the run that the job is in."""

from datetime import UTC, datetime, timedelta

from essaim.errors import LeaseLostError
from essaim.jobs.adapters.mongodb import merging
from essaim.jobs.adapters.mongodb.database import Database
from essaim.jobs.adapters.mongodb.documents import Document, problem_to, readable, run_of, stamp
from essaim.jobs.adapters.mongodb.first_attempt import settle
from essaim.jobs.adapters.mongodb.jobs import fail, head, is_ended
from essaim.jobs.adapters.mongodb.progress import all_succeeded
from essaim.jobs.adapters.mongodb.task_documents import task_id, task_state
from essaim.jobs.model import MERGE, Claim, Problem, State


async def beat(db: Database, claim: Claim, progress: float | None, checkpoint: bytes | None, lease: timedelta) -> bool:
    if claim.number == MERGE:
        return await merging.beat(db, claim, lease)
    job = await _job_of(db, claim)
    if is_ended(job):
        return False
    fields: Document = {"lease_until": stamp(datetime.now(UTC) + lease)}
    if progress is not None:
        fields["progress"] = float(min(1.0, max(0.0, progress)))
    if checkpoint is not None:
        fields["checkpoint"] = readable(checkpoint)
    await _must_change(db, claim, job, {"$set": fields})
    return True


async def release(db: Database, claim: Claim, problem: Problem | None) -> None:
    if claim.number == MERGE:
        return await merging.release(db, claim)
    job = await _job_of(db, claim)
    if is_ended(job):
        raise _lost(claim)
    change: Document = {"$set": {"state": "queued", "worker": None, "lease_until": None}}
    if problem is not None:
        change["$set"]["problem"] = problem_to(problem)
        change["$inc"] = {"failures": 1}
    await _must_change(db, claim, job, change)


async def finish(db: Database, claim: Claim, outcome: bytes | Problem) -> bool:
    """Said twice by the same attempt, because it did not hear the answer, it is answered twice and done once."""
    job = await _job_of(db, claim)
    if is_ended(job):
        await _must_have_ended_so(db, claim, job, outcome)
        return False
    if not await _change(db, claim, job, _ending(outcome)):
        await _must_have_ended_so(db, claim, job, outcome)
    if isinstance(outcome, Problem):
        await fail(db, job, problem_to(outcome))
        return False
    return job.get("tasks") == 1 or await all_succeeded(db, job)


def _ending(outcome: bytes | Problem) -> Document:
    fields: Document = {"ended": stamp(), "lease_until": None}
    if isinstance(outcome, Problem):
        return {"$set": {**fields, "state": "failed", "problem": problem_to(outcome)}}
    fields |= {"state": "succeeded", "problem": None, "progress": 1.0, "result": readable(outcome)}
    return {"$set": fields, "$unset": {"checkpoint": ""}}


async def _job_of(db: Database, claim: Claim) -> Document:
    job = await head(db, claim.job_id)
    if job is None or run_of(job) != claim.run:
        raise _lost(claim)
    return await settle(db, job) if claim.number == 0 else job


async def _change(db: Database, claim: Claim, job: Document, change: Document) -> bool:
    """If this attempt runs, in the run in which it was claimed."""
    key = task_id(job, claim.number, job.get("plan") or "")
    wanted = {"_id": key, "attempts": claim.attempt, "state": "running", "run": claim.run}
    return (await db.tasks.update_one(wanted, change)).matched_count > 0


async def _must_change(db: Database, claim: Claim, job: Document, change: Document) -> None:
    if not await _change(db, claim, job, change):
        raise _lost(claim)


async def _must_have_ended_so(db: Database, claim: Claim, job: Document, outcome: bytes | Problem) -> None:
    key = task_id(job, claim.number, job.get("plan") or "")
    task = await db.tasks.find_one({"_id": key}, {"state": 1, "attempts": 1, "run": 1})
    wanted = State.FAILED if isinstance(outcome, Problem) else State.SUCCEEDED
    if task is None or task.get("attempts") != claim.attempt or task_state(task, job) is not wanted:
        raise _lost(claim)


def _lost(claim: Claim) -> LeaseLostError:
    return LeaseLostError(f"attempt {claim.attempt} of task {claim.number} of job {claim.job_id} has lost its lease")
