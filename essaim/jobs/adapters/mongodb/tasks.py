"""How a job gets its tasks, and a worker its task.

A task changes before its job does. What a crash leaves between the two, the next claim of the task puts right: its message
was not acknowledged, so it comes again.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pymongo.errors import BulkWriteError, DuplicateKeyError

from essaim.errors import JobNotFoundError, LeaseLostError, UnavailableError
from essaim.jobs.adapters.leases import seconds_left
from essaim.jobs.adapters.mongodb import merging
from essaim.jobs.adapters.mongodb.database import PAUSE_SECONDS, TRIES, Database, duplicates
from essaim.jobs.adapters.mongodb.documents import OPEN, Document, bytes_from, readable, run_of, stamp
from essaim.jobs.adapters.mongodb.first_attempt import first_claim, settle, take
from essaim.jobs.adapters.mongodb.jobs import fail, is_ended, known_head
from essaim.jobs.adapters.mongodb.progress import all_succeeded
from essaim.jobs.adapters.mongodb.task_documents import is_current, new_task, plan_of, task_id, task_state
from essaim.jobs.model import Busy, Claim, Claimed, Ended, State


async def plan(db: Database, job_id: str, run: int, inputs: Sequence[bytes]) -> int:
    """The tasks first, then their number in the job: only then can they be claimed. The input of task 0, which several
    plans share, is kept in the job, so that it is of the plan that was stored."""
    if not inputs:
        raise ValueError("a job has at least one task")
    job = await settle(db, await known_head(db, job_id))
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
        job = await settle(db, job) if number == 0 else job
        found = await db.tasks.find_one({"_id": task_id(job, number, job.get("plan") or "")}, {"result": 0})
        if found is None and number:
            raise JobNotFoundError(f"job {job_id} has no task {number}")
        if found is None and job.get("tasks") is None and run_of(job) == 1:
            if await take(db, job_id, worker, lease):
                return first_claim(job_id, worker)
            continue  # somebody was faster, so look again
        answer = await _claim(db, job, found, worker, lease)
        if answer is not None:
            return answer
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311  # no secret
    raise UnavailableError(f"task {number} of job {job_id} changes too fast to be claimed")


async def _claim(
    db: Database, job: Document, found: Document | None, worker: str, lease: timedelta
) -> Claimed | Busy | Ended | None:
    """None: somebody was faster, so look again."""
    now = datetime.now(UTC)
    task = found or new_task(job, 0, "", None)
    state = task_state(task, job)
    if state is State.SUCCEEDED:
        return await merging.claim(db, job, worker, lease) if await all_succeeded(db, job) else Ended()
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
