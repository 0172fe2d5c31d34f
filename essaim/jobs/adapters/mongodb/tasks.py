"""Tasks: planned, claimed, and changed by their attempts, each time by a compare-and-set on the task's document.

A task changes before its job does. If a crash leaves a change unfinished, the next claim of the task completes it: the message
was not acknowledged, so it is delivered again.
"""

import asyncio
import random
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ASCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from essaim.errors import JobNotFoundError, LeaseLostError, UnavailableError
from essaim.jobs.adapters.lease_time import lost, seconds_left
from essaim.jobs.adapters.mongodb import merge_claim
from essaim.jobs.adapters.mongodb.database import PAUSE_SECONDS, TRIES, Database, duplicates
from essaim.jobs.adapters.mongodb.documents import (
    OPEN,
    Document,
    bytes_from,
    first_task,
    is_current,
    new_task,
    number_id,
    plan_of,
    readable,
    run_of,
    task_from,
    task_id,
    task_state,
)
from essaim.jobs.adapters.mongodb.first_attempt import first_claim, materialise_first_task, take
from essaim.jobs.adapters.mongodb.jobs import all_succeeded, fail, head, is_ended, known_head, plans_of
from essaim.jobs.adapters.values import problem_to, stamp
from essaim.jobs.model import MERGE, Busy, Claim, Claimed, Ended, Problem, State, Task

TASK_SHOWN = {"input": 0, "checkpoint": 0, "result": 0}
PAST_ALL_PLANS = "0"  # after the `/` that follows a number


async def plan(db: Database, job_id: str, run: int, inputs: Sequence[bytes]) -> int:
    """Insert the tasks, then store their number in the job: only then can they be claimed. The input of task 0, which several
    plans share, is kept in the job, so that it belongs to the plan that was stored."""
    if not inputs:
        raise ValueError("a job has at least one task")
    job = await materialise_first_task(db, await known_head(db, job_id))
    if run_of(job) != run:
        raise LeaseLostError(f"job {job_id} is in run {run_of(job)}: run {run} plans it no more")
    if job.get("tasks") is None and not is_ended(job):
        name = plan_of(job, inputs)
        claimed_first = job["state"] == State.RUNNING
        tasks = [new_task(job, number, name, data if number else None) for number, data in enumerate(inputs)]
        await _insert_missing(db, tasks[1:] if claimed_first else tasks)
        wanted = {"_id": job_id, "run": run, "tasks": None, "first": None, "state": {"$in": OPEN}}
        fields = {"tasks": len(inputs), "plan": name, "split_in": run, "first_input": readable(inputs[0])}
        if (await db.jobs.update_one(wanted, {"$set": fields})).matched_count:
            return len(inputs)
        return await plan(db, job_id, run, inputs)  # it is planned, begun or ended since
    return job.get("tasks") or 0


async def claim(db: Database, job_id: str, number: int, worker: str, lease: timedelta) -> Claimed | Busy | Ended:
    for _ in range(TRIES):
        job = await known_head(db, job_id, **({"first_input": 1} if number == 0 else {}))
        if not 0 <= number < (job.get("tasks") or 1):
            raise JobNotFoundError(f"job {job_id} has no task {number}")
        if is_ended(job):
            return Ended()
        job = await materialise_first_task(db, job) if number == 0 else job
        found = await db.tasks.find_one({"_id": task_id(job, number, job.get("plan") or "")}, {"result": 0})
        if found is None and number:
            raise JobNotFoundError(f"job {job_id} has no task {number}")
        if found is None and job.get("tasks") is None and run_of(job) == 1:
            if await take(db, job_id, worker, lease):
                return first_claim(job_id, worker)
            continue  # another worker was faster, so read again
        answer = await _claim(db, job, found, worker, lease)
        if answer is not None:
            return answer
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311  # no secret
    raise UnavailableError(f"task {number} of job {job_id} changes too fast to be claimed")


async def beat(db: Database, claim: Claim, progress: float | None, checkpoint: bytes | None, lease: timedelta) -> bool:
    if claim.number == MERGE:
        return await merge_claim.beat(db, claim, lease)
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
        return await merge_claim.release(db, claim)
    job = await _job_of(db, claim)
    if is_ended(job):
        raise lost(claim)
    change: Document = {"$set": {"state": "queued", "worker": None, "lease_until": None}}
    if problem is not None:
        change["$set"]["problem"] = problem_to(problem)
        change["$inc"] = {"failures": 1}
    await _must_change(db, claim, job, change)


async def finish(db: Database, claim: Claim, outcome: bytes | Problem) -> bool:
    """Idempotent: an attempt that did not get the answer asks again and gets the same one."""
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


async def list_page(db: Database, job_id: str, states: Collection[State], after: int, limit: int) -> list[Task]:
    job = await known_head(db, job_id)
    if job.get("first") is not None:
        only = task_from(first_task(job), job)
        return [only] if after < 0 < limit and (not states or only.state in states) else []
    query = _tasks_after(job, after)
    if states:
        query["$or"] = [stored for state in set(states) for stored in _stored_as(state, job)]
        if not query["$or"]:
            return []
    found = await db.tasks.find(query, TASK_SHOWN).sort("_id", ASCENDING).limit(limit).to_list()
    return [task_from(task, job) for task in found]


async def results(db: Database, job_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
    """A worker that still merges a completed job must not take deleted results for the end of the list."""
    job = await known_head(db, job_id)
    if job.get("purged"):
        raise JobNotFoundError(f"there is no job {job_id}")
    if job.get("tasks") == 1:
        single = await db.tasks.find_one({"_id": task_id(job, 0, "")}, {"number": 1, "state": 1, "result": 1})
        found = [single] if single and after < 0 and single["state"] == State.SUCCEEDED else []
    else:
        query = {**_tasks_after(job, after), "state": "succeeded"}
        page = db.tasks.find(query, {"number": 1, "result": 1}).sort("_id", ASCENDING).limit(limit)
        found = await page.to_list()
    rows = [(task["number"], bytes_from(task.get("result"))) for task in found]
    if job["state"] == State.SUCCEEDED or any(result is None for _, result in rows):
        raise LeaseLostError(f"job {job_id} was completed by somebody else, and the results of its tasks are gone")
    return [(number, result) for number, result in rows if result is not None]


async def _claim(
    db: Database, job: Document, found: Document | None, worker: str, lease: timedelta
) -> Claimed | Busy | Ended | None:
    """None: another worker was faster, so read the task again."""
    now = datetime.now(UTC)
    task = found or new_task(job, 0, "", None)
    state = task_state(task, job)
    if state is State.SUCCEEDED:
        return await merge_claim.claim(db, job, worker, lease) if await all_succeeded(db, job) else Ended()
    if state is State.FAILED:
        await fail(db, job, task.get("problem"))
        return Ended()
    running = state is State.RUNNING
    until = task.get("lease_until")
    if running and until and (seconds := seconds_left(until, now, lease)):
        return Busy(seconds)

    current = is_current(task, job)
    fields = {
        "state": "running",
        "run": run_of(job),
        "attempts": task.get("attempts", 0) + 1,
        "splits": 1 if job.get("tasks") is None else task.get("splits", 0),
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
        Claim(job["_id"], number, fields["attempts"], worker, run_of(job)),
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
        duplicates(error)


def _ending(outcome: bytes | Problem) -> Document:
    fields: Document = {"ended": stamp(), "lease_until": None}
    if isinstance(outcome, Problem):
        return {"$set": {**fields, "state": "failed", "problem": problem_to(outcome)}}
    fields |= {"state": "succeeded", "problem": None, "progress": 1.0, "result": readable(outcome)}
    return {"$set": fields, "$unset": {"checkpoint": ""}}


async def _job_of(db: Database, claim: Claim) -> Document:
    job = await head(db, claim.job_id)
    if job is None or run_of(job) != claim.run:
        raise lost(claim)
    return await materialise_first_task(db, job) if claim.number == 0 else job


async def _change(db: Database, claim: Claim, job: Document, change: Document) -> bool:
    """Change the task if this attempt runs, in the run in which it was claimed."""
    key = task_id(job, claim.number, job.get("plan") or "")
    wanted = {"_id": key, "attempts": claim.attempt, "state": "running", "run": claim.run}
    return (await db.tasks.update_one(wanted, change)).matched_count > 0


async def _must_change(db: Database, claim: Claim, job: Document, change: Document) -> None:
    if not await _change(db, claim, job, change):
        raise lost(claim)


async def _must_have_ended_so(db: Database, claim: Claim, job: Document, outcome: bytes | Problem) -> None:
    key = task_id(job, claim.number, job.get("plan") or "")
    task = await db.tasks.find_one({"_id": key}, {"state": 1, "attempts": 1, "run": 1})
    wanted = State.FAILED if isinstance(outcome, Problem) else State.SUCCEEDED
    if task is None or task.get("attempts") != claim.attempt or task_state(task, job) is not wanted:
        raise lost(claim)


def _tasks_after(job: Document, after: int) -> Document:
    """The tasks of the stored plan; another one may have left some."""
    first, last = number_id(job, max(0, after + 1)), number_id(job, (job.get("tasks") or 1) - 1) + PAST_ALL_PLANS
    return {"_id": {"$gte": first, "$lt": last}, "plan": {"$in": plans_of(job)}}


def _stored_as(state: State, job: Document) -> list[dict[str, Any]]:
    """Filters for the documents of tasks that are in this state; the inverse of `documents.task_state`."""
    run = run_of(job)
    left_over = {"state": "failed", "run": {"$lt": run}}
    match state:
        case State.SUCCEEDED:
            return [{"state": "succeeded"}]
        case State.FAILED:
            return [{"state": "failed", "run": run}]
        case State.CANCELLED:
            return [{"state": {"$in": OPEN}}, left_over] if is_ended(job) else []
        case _ if is_ended(job):
            return []
        case State.RUNNING:
            return [{"state": "running", "run": run}]
        case State.QUEUED:
            return [{"state": "queued"}, left_over, {"state": "running", "run": {"$lt": run}}]
