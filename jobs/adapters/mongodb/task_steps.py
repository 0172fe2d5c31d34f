"""What happens to tasks and their attempts. Each write is a compare-and-set on one document.

A task changes before its job does. What a crash leaves between the two, the next claim of the task puts right: its message
was not acknowledged, so it comes again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.errors import BulkWriteError, DuplicateKeyError

from jobs.adapters.mongodb.database import Database
from jobs.adapters.mongodb.documents import (
    OPEN,
    Document,
    bytes_from,
    is_current,
    new_task,
    plan_of,
    problem_to,
    readable,
    run_of,
    stamp,
    task_id,
    task_state,
)
from jobs.adapters.mongodb.job_steps import fail, head, is_ended, known_head
from jobs.adapters.mongodb.progress import all_succeeded
from jobs.errors import JobNotFoundError, LeaseLostError
from jobs.model import Busy, Claim, Claimed, Ended, Problem, State

DUPLICATE_CODE = 11000


async def plan(db: Database, job_id: str, inputs: Sequence[bytes]) -> int:
    """The tasks first, then their number in the job: only then can they be claimed. The input of task 0, which several
    plans share, is kept in the job, so that it is of the plan that was stored."""
    if not inputs:
        raise ValueError("a job has at least one task")
    job = await known_head(db, job_id)
    if job.get("tasks") is None and not is_ended(job):
        name = plan_of(inputs)
        claimed_first = job["state"] == State.RUNNING
        tasks = [new_task(job, number, name, data if number else None) for number, data in enumerate(inputs)]
        await _insert_missing(db, tasks[1:] if claimed_first else tasks)
        wanted = {"_id": job_id, "tasks": None, "state": {"$in": OPEN}}
        fields = {"tasks": len(inputs), "plan": name, "first_input": readable(inputs[0])}
        if (await db.jobs.update_one(wanted, {"$set": fields})).matched_count:
            return len(inputs)
        job = await known_head(db, job_id)
    return job.get("tasks") or 0


async def claim(db: Database, job_id: str, number: int, worker: str, lease: timedelta) -> Claimed | Busy | Ended:
    while True:
        job = await known_head(db, job_id, **({"first_input": 1} if number == 0 else {}))
        if not 0 <= number < (job.get("tasks") or 1):
            raise JobNotFoundError(f"job {job_id} has no task {number}")
        if is_ended(job):
            return Ended(unmerged=False)
        found = await db.tasks.find_one({"_id": task_id(job_id, number, job.get("plan") or "")}, {"result": 0})
        if found is None and number:
            raise JobNotFoundError(f"job {job_id} has no task {number}")
        answer = await _claim(db, job, found, worker, lease)
        if answer is not None:
            return answer


async def beat(db: Database, claim: Claim, progress: float, checkpoint: bytes | None, lease: timedelta) -> bool:
    job = await _job_of(db, claim)
    if is_ended(job):
        return False
    fields: Document = {
        "lease_until": stamp(datetime.now(UTC) + lease),
        "progress": float(min(1.0, max(0.0, progress))),
    }
    if checkpoint is not None:
        fields["checkpoint"] = readable(checkpoint)
    await _must_change(db, claim, job, {"$set": fields})
    return True


async def release(db: Database, claim: Claim, problem: Problem | None) -> None:
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


async def _claim(
    db: Database, job: Document, found: Document | None, worker: str, lease: timedelta
) -> Claimed | Busy | Ended | None:
    """None: somebody was faster, so look again."""
    now = datetime.now(UTC)
    task = found or new_task(job, 0, "", None)
    state = task_state(task, job)
    if state is State.SUCCEEDED:
        return Ended(unmerged=await all_succeeded(db, job))
    if state is State.FAILED:
        await fail(db, job, task.get("problem"))
        return Ended(unmerged=False)
    running = state is State.RUNNING
    until = task.get("lease_until")
    if running and until and until > stamp(now):
        return Busy((datetime.fromisoformat(until) - now).total_seconds())

    current = is_current(task, job)
    fields = {
        "state": "running",
        "run": run_of(job),
        "attempts": task.get("attempts", 0) + 1,
        "failures": task.get("failures", 0) if current else 0,
        "lost": (task.get("lost", 0) if current else 0) + running,
        "worker": worker,
        "lease_until": stamp(now + lease),
        "started": (task.get("started") if current else None) or stamp(now),
        "ended": None,
        "problem": task.get("problem") if current else None,
    }
    if not await _take(db, task, fields, new=found is None):
        return None
    await _run_job(db, job)
    number = task["number"]
    return Claimed(
        Claim(job["_id"], number, fields["attempts"], worker),
        input=bytes_from(task.get("input") if number else job.get("first_input")),
        checkpoint=bytes_from(task.get("checkpoint")),
        failures=fields["failures"],
        lost=fields["lost"],
    )


async def _take(db: Database, task: Document, fields: Document, *, new: bool) -> bool:
    if new:
        try:
            await db.tasks.insert_one({**task, **fields})
        except DuplicateKeyError:
            return False
        return True
    seen = {key: task.get(key) for key in ("_id", "state", "run", "attempts", "lease_until")}
    return (await db.tasks.update_one(seen, {"$set": fields})).matched_count > 0


async def _run_job(db: Database, job: Document) -> None:
    if job["state"] != State.QUEUED:
        return
    wanted = {"_id": job["_id"], "state": "queued", "run": run_of(job)}
    await db.jobs.update_one(wanted, {"$set": {"state": "running", "started": job.get("started") or stamp()}})


async def _insert_missing(db: Database, tasks: list[Document]) -> None:
    if not tasks:
        return
    try:
        await db.tasks.insert_many(tasks, ordered=False)
    except BulkWriteError as error:
        details: dict[str, Any] = error.details or {}
        others = [one for one in details.get("writeErrors", ()) if one.get("code") != DUPLICATE_CODE]
        if others or details.get("writeConcernErrors"):
            raise


def _ending(outcome: bytes | Problem) -> Document:
    fields: Document = {"ended": stamp(), "lease_until": None}
    if isinstance(outcome, Problem):
        return {"$set": {**fields, "state": "failed", "problem": problem_to(outcome)}}
    fields |= {"state": "succeeded", "problem": None, "progress": 1.0, "result": readable(outcome)}
    return {"$set": fields, "$unset": {"checkpoint": ""}}


async def _job_of(db: Database, claim: Claim) -> Document:
    job = await head(db, claim.job_id)
    if job is None:
        raise _lost(claim)
    return job


async def _change(db: Database, claim: Claim, job: Document, change: Document) -> bool:
    """If this attempt runs, in the run that its job is in."""
    key = task_id(claim.job_id, claim.number, job.get("plan") or "")
    wanted = {"_id": key, "attempts": claim.attempt, "state": "running", "run": run_of(job)}
    return (await db.tasks.update_one(wanted, change)).matched_count > 0


async def _must_change(db: Database, claim: Claim, job: Document, change: Document) -> None:
    if not await _change(db, claim, job, change):
        raise _lost(claim)


async def _must_have_ended_so(db: Database, claim: Claim, job: Document, outcome: bytes | Problem) -> None:
    key = task_id(claim.job_id, claim.number, job.get("plan") or "")
    task = await db.tasks.find_one({"_id": key}, {"state": 1, "attempts": 1, "run": 1})
    wanted = State.FAILED if isinstance(outcome, Problem) else State.SUCCEEDED
    if task is None or task.get("attempts") != claim.attempt or task_state(task, job) is not wanted:
        raise _lost(claim)


def _lost(claim: Claim) -> LeaseLostError:
    return LeaseLostError(f"attempt {claim.attempt} of task {claim.number} of job {claim.job_id} has lost its lease")
