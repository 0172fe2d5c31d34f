"""Jobs, tasks and workers as rows. Unknown columns are left alone."""

import json
import sqlite3
from collections.abc import Collection
from datetime import datetime

from essaim.jobs.adapters.values import moment_from, problem_from, stamp, to_json
from essaim.jobs.model import Job, State, Task, Worker

JOB_COLUMNS = (
    "id, owner, release, request, fingerprint, created, state, run, started, ended, "
    "tasks, tasks_ended, progress_sum, problem, callback, traceparent, split_in, retried"
)
JOB_ROWS = "jobs JOIN payloads ON payloads.job_id = jobs.id"
TASK_COLUMNS = (
    "job_id, number, state, attempts - splits AS attempts, failures, progress, worker, lease_until, started, ended, "
    "problem"
)


def states_to_json(states: Collection[State]) -> str:
    return to_json([state.value for state in states])


def job_from(row: sqlite3.Row, result: bytes | None = None) -> Job:
    return Job(
        id=row["id"],
        owner=row["owner"],
        release=row["release"],
        request=json.loads(row["request"]),
        fingerprint=row["fingerprint"],
        created=datetime.fromisoformat(row["created"]),
        state=State(row["state"]),
        run=row["run"],
        started=moment_from(row["started"]),
        ended=moment_from(row["ended"]),
        tasks=row["tasks"],
        tasks_ended=row["tasks_ended"],
        progress=_progress(row),
        result=result,
        problem=problem_from(row["problem"]),
        callback=row["callback"],
        traceparent=row["traceparent"],
        split_in=row["split_in"],
        retried=moment_from(row["retried"]),
    )


def task_from(row: sqlite3.Row) -> Task:
    return Task(
        job_id=row["job_id"],
        number=row["number"],
        state=State(row["state"]),
        attempts=row["attempts"],
        failures=row["failures"],
        progress=row["progress"],
        worker=row["worker"],
        lease_until=moment_from(row["lease_until"]),
        started=moment_from(row["started"]),
        ended=moment_from(row["ended"]),
        problem=problem_from(row["problem"]),
    )


def worker_from(row: sqlite3.Row) -> Worker:
    return Worker(
        id=row["id"],
        release=row["release"],
        started=datetime.fromisoformat(row["started"]),
        seen=datetime.fromisoformat(row["seen"]),
        concurrency=row["concurrency"],
        tasks=tuple(json.loads(row["tasks"])),
    )


def stamp_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)


def _progress(row: sqlite3.Row) -> float:
    """The mean over the tasks; a job that is not split yet has one. Rounded, since a sum of many floats drifts."""
    if row["state"] == State.SUCCEEDED:
        return 1.0
    mean: float = row["progress_sum"] / (row["tasks"] or 1)
    return round(min(1.0, max(0.0, mean)), 9)
