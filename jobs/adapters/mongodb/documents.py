"""Jobs, tasks and workers as documents. What a document holds beyond the known fields is none of this version's business,
and what is missing has its default.

A task belongs to the `run` of its job in which it was last claimed. So a job is cancelled, fails or is revived by the
change of one document: what an earlier run, or one that has ended, left open in its tasks is understood when they are read.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from jobs.model import Job, Problem, State, Task, Worker

Document = dict[str, Any]

VERSION = 1
OPEN = [State.QUEUED.value, State.RUNNING.value]
DIGITS = 8  # task numbers in ids, so that the order of ids is theirs


class Tally(NamedTuple):
    """How far the tasks of a job are: how many have ended, and the sum of their progress."""

    ended: int = 0
    progress: float = 0.0


def job_to(job: Job) -> Document:
    """Requests are JSON text: a BSON document has neither half surrogates nor large integers, which JSON has."""
    return {
        "_id": job.id,
        "v": VERSION,
        "owner": job.owner,
        "release": job.release,
        "request": _to_json(job.request),
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
    }


def job_from(found: Document, tally: Tally) -> Job:
    """The tally counts while the job is open; one that has ended keeps its own progress."""
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
        started=_moment(found.get("started")),
        ended=_moment(found.get("ended")),
        tasks=tasks,
        tasks_ended=(tasks or 0) if state.ended else tally.ended,
        progress=1.0 if state is State.SUCCEEDED else round(min(1.0, max(0.0, progress)), 9),
        result=bytes_from(found.get("result")),
        problem=problem_from(found.get("problem")),
    )


def new_task(job: Document, number: int, plan: str, data: bytes | None) -> Document:
    return {
        "_id": task_id(job["_id"], number, plan),
        "v": VERSION,
        "plan": plan_id(job["_id"], plan if number else ""),
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
    return Task(
        job_id=job["_id"],
        number=found["number"],
        state=state,
        attempts=found.get("attempts", 0),
        failures=found.get("failures", 0) if counts else 0,
        progress=found.get("progress", 0.0),
        worker=found.get("worker") if counts else None,
        lease_until=_moment(found.get("lease_until")) if counts and not cancelled else None,
        started=_moment(found.get("started")) if counts else None,
        ended=_moment(job.get("ended")) if cancelled else _moment(found.get("ended")) if counts else None,
        problem=problem_from(found.get("problem")) if counts else None,
    )


def is_current(found: Document, job: Document) -> bool:
    """Whether the task was last claimed in the run that its job is in."""
    return run_of(found) == run_of(job)


def task_state(found: Document, job: Document) -> State:
    """What the stored state means now."""
    state, current = State(found["state"]), is_current(found, job)
    if state is State.SUCCEEDED or (state is State.FAILED and current):
        return state
    if State(job["state"]).ended:
        return State.CANCELLED
    return state if current else State.QUEUED


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


def task_id(job_id: str, number: int, plan: str) -> str:
    """Task 0 is there before any plan; the others are those of one plan."""
    return f"{job_id}/{number:0{DIGITS}}" + (f"/{plan}" if number else "")


def plan_id(job_id: str, plan: str) -> str:
    return f"{job_id}/{plan}"


def plan_of(inputs: Sequence[bytes]) -> str:
    """The same inputs are the same plan, whoever stores them: a repeated split finds what a crash left."""
    digest = sha256()
    for data in inputs:
        digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()[:16]


def run_of(found: Document) -> int:
    run: int = found.get("run", 1)
    return run


def problem_to(problem: Problem | None) -> str | None:
    """JSON text, since error messages may contain half surrogates."""
    return _to_json({"type": problem.type, "detail": problem.detail}) if problem else None


def problem_from(text: str | None) -> Problem | None:
    if text is None:
        return None
    fields = json.loads(text)
    return Problem(fields["type"], fields["detail"])


def readable(data: bytes) -> str | bytes:
    """Text where it is text, so that a person can read it in a shell. `bytes_from` is its inverse."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def bytes_from(stored: str | bytes | None) -> bytes | None:
    return stored.encode() if isinstance(stored, str) else stored


def stamp(moment: datetime | None = None) -> str:
    """A time (None: now) as text that sorts; a BSON date has only milliseconds."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
