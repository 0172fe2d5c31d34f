"""Jobs, tasks and workers as documents. Unknown fields are left alone, and missing ones have defaults.

A task belongs to the `run` of its job in which it was last claimed. So a job is cancelled, fails or is revived by one write, to
its own document: whatever an earlier or ended run left open in the tasks is interpreted when they are read. A job that starts
anew, as in another release, takes one write too: its tasks get other ids, and the old ones stay unused until it is purged.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from essaim.jobs.adapters.values import moment_from, problem_from, problem_to, stamp, to_json
from essaim.jobs.model import Job, State, Task, Worker

Document = dict[str, Any]

VERSION = 1
OPEN = [State.QUEUED.value, State.RUNNING.value]
DIGITS = 8  # task numbers in ids, so that the order of ids is theirs


class Tally(NamedTuple):
    """How many tasks of a job have ended, and the sum of the progress of all."""

    ended: int = 0
    progress: float = 0.0


def job_to(job: Job) -> Document:
    """Requests are JSON text: a BSON document has neither half surrogates nor large integers, which JSON has.

    Fields without a value are left out: each one makes every write of the job slower.
    """
    fields = {
        "_id": job.id,
        "v": VERSION,
        "owner": job.owner,
        "release": job.release,
        "request": to_json(job.request),
        "fingerprint": job.fingerprint,
        "created": stamp(job.created),
        "state": job.state.value,
        "run": job.run,
        "started": stamp(job.started) if job.started else None,
        "ended": stamp(job.ended) if job.ended else None,
        "tasks": job.tasks,
        "progress": job.progress if job.state.ended else None,
        "problem": problem_to(job.problem),
        "result": None if job.result is None else readable(job.result),
        "callback": job.callback,
        "traceparent": job.traceparent,
    }
    return {name: value for name, value in fields.items() if value is not None}


def job_from(found: Document, tally: Tally) -> Job:
    """While the job is open its progress comes from the tally; afterwards from the job itself."""
    state = State(found["state"])
    tasks = found.get("tasks")
    progress = found.get("progress") or 0.0 if state.ended else tally.progress / (tasks or 1)
    return Job(
        id=found["_id"],
        owner=found["owner"],
        release=found["release"],
        request=json.loads(found["request"]),
        fingerprint=found["fingerprint"],
        created=datetime.fromisoformat(found["created"]),
        state=state,
        run=run_of(found),
        started=moment_from(found.get("started")),
        ended=moment_from(found.get("ended")),
        tasks=tasks,
        tasks_ended=(tasks or 0) if state.ended else tally.ended,
        progress=1.0 if state is State.SUCCEEDED else round(min(1.0, max(0.0, progress)), 9),
        result=bytes_from(found.get("result")),
        problem=problem_from(found.get("problem")),
        callback=found.get("callback"),
        traceparent=found.get("traceparent"),
        split_in=found.get("split_in"),
        retried=moment_from(found.get("retried")),
    )


def worker_to(worker: Worker) -> Document:
    return {
        "_id": worker.id,
        "v": VERSION,
        "release": worker.release,
        "started": stamp(worker.started),
        "seen": stamp(worker.seen),
        "concurrency": worker.concurrency,
        "tasks": list(worker.tasks),
    }


def worker_from(found: Document) -> Worker:
    return Worker(
        id=found["_id"],
        release=found["release"],
        started=datetime.fromisoformat(found["started"]),
        seen=datetime.fromisoformat(found["seen"]),
        concurrency=found.get("concurrency", 1),
        tasks=tuple(found.get("tasks", ())),
    )


def run_of(found: Document) -> int:
    run: int = found.get("run", 1)
    return run


def readable(data: bytes) -> str | bytes:
    """As text where it is UTF-8, so that a person can read it in a shell. `bytes_from` is the inverse."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def bytes_from(stored: str | bytes | None) -> bytes | None:
    return stored.encode() if isinstance(stored, str) else stored


def new_task(job: Document, number: int, plan: str, data: bytes | None) -> Document:
    return {
        "_id": task_id(job, number, plan),
        "v": VERSION,
        "plan": plan_id(job, plan if number else ""),
        "number": number,
        "run": run_of(job),
        "state": State.QUEUED.value,
        "attempts": 0,
        "failures": 0,
        "lost": 0,
        "progress": 0.0,
        "lease_until": None,
        "input": None if data is None else readable(data),
    }


def task_from(found: Document, job: Document) -> Task:
    state = task_state(found, job)
    counts = state is State.SUCCEEDED or is_current(found, job)
    cancelled = state is State.CANCELLED
    splits = found.get("splits", 0) if (job.get("tasks") or 1) > 1 else 0
    return Task(
        job_id=job["_id"],
        number=found["number"],
        state=state,
        attempts=found.get("attempts", 0) - splits,
        failures=found.get("failures", 0) if counts else 0,
        progress=found.get("progress", 0.0),
        worker=found.get("worker") if counts else None,
        lease_until=moment_from(found.get("lease_until")) if counts and not cancelled else None,
        started=moment_from(found.get("started")) if counts else None,
        ended=moment_from(job.get("ended")) if cancelled else moment_from(found.get("ended")) if counts else None,
        problem=problem_from(found.get("problem")) if counts else None,
    )


def is_current(found: Document, job: Document) -> bool:
    """Whether the task was last claimed in the run that its job is in."""
    return run_of(found) == run_of(job)


def task_state(found: Document, job: Document) -> State:
    """The state of the task, given the state of its job."""
    state, current = State(found["state"]), is_current(found, job)
    if state is State.SUCCEEDED or (state is State.FAILED and current):
        return state
    if State(job["state"]).ended:
        return State.CANCELLED
    return state if current else State.QUEUED


def anew_of(job: Document) -> str:
    """The run in which the job last started anew; empty if it never did."""
    anew: str = job.get("anew") or ""
    return anew


def task_id(job: Document, number: int, plan: str) -> str:
    """Task 0 exists before any plan; the others belong to one plan."""
    of = plan if number else anew_of(job)
    return number_id(job, number) + (f"/{of}" if of else "")


def number_id(job: Document, number: int) -> str:
    """The prefix of the ids of all tasks with this number, whatever their plan."""
    return f"{job['_id']}/{number:0{DIGITS}}"


def plan_id(job: Document, plan: str) -> str:
    """With an empty `plan`, that of task 0, which all plans since the job last started anew share."""
    return f"{job['_id']}/{plan or anew_of(job)}"


def plan_of(job: Document, inputs: Sequence[bytes]) -> str:
    """The same inputs make the same plan, whoever stores them: a repeated split finds what a crash left."""
    digest = sha256(anew_of(job).encode())
    for data in inputs:
        digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()[:16]


def first_task(job: Document) -> Document:
    """The field `first` of the job as the document of task 0."""
    first = job["first"]
    fields = {
        **new_task(job, 0, "", None),
        "attempts": 1,
        "splits": 1,
        "worker": first["worker"],
        "started": first["started"],
    }
    if job["state"] == State.SUCCEEDED:
        return {**fields, "state": "succeeded", "progress": 1.0, "ended": job["ended"]}
    return {**fields, "state": "running", "lease_until": first["lease_until"]}
