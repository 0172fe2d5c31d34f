"""Tasks as documents, and what they mean.

A task belongs to the `run` of its job in which it was last claimed. So a job is cancelled, fails or is revived by the
change of one document: what an earlier run, or one that has ended, left open in its tasks is understood when they are read.
A job that starts anew, as in another release, is one change too: its tasks have other ids from then on, and the former ones are
nobody's, until the job is purged.
"""

from collections.abc import Sequence
from hashlib import sha256

from essaim.jobs.adapters.mongodb.documents import VERSION, Document, moment_from, problem_from, readable, run_of
from essaim.jobs.model import State, Task

DIGITS = 8  # task numbers in ids, so that the order of ids is theirs


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
    """What the stored state means now."""
    state, current = State(found["state"]), is_current(found, job)
    if state is State.SUCCEEDED or (state is State.FAILED and current):
        return state
    if State(job["state"]).ended:
        return State.CANCELLED
    return state if current else State.QUEUED


def anew_of(job: Document) -> str:
    """In which run the job last started anew; empty if it never did."""
    anew: str = job.get("anew") or ""
    return anew


def task_id(job: Document, number: int, plan: str) -> str:
    """Task 0 is there before any plan; the others are those of one plan."""
    of = plan if number else anew_of(job)
    return number_id(job, number) + (f"/{of}" if of else "")


def number_id(job: Document, number: int) -> str:
    """How the ids of all tasks with this number begin, whatever their plan."""
    return f"{job['_id']}/{number:0{DIGITS}}"


def plan_id(job: Document, plan: str) -> str:
    """Empty is the plan of task 0, which all that are made of the same start share."""
    return f"{job['_id']}/{plan or anew_of(job)}"


def plan_of(job: Document, inputs: Sequence[bytes]) -> str:
    """The same inputs are the same plan, whoever stores them: a repeated split finds what a crash left."""
    digest = sha256(anew_of(job).encode())
    for data in inputs:
        digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()[:16]
