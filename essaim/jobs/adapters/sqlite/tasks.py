"""What happens to tasks and their attempts, each function inside one transaction."""

import sqlite3
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from essaim.errors import JobNotFoundError, LeaseLostError
from essaim.jobs.adapters.lease_time import lost, seconds_left
from essaim.jobs.adapters.sqlite import jobs, merge_claim
from essaim.jobs.adapters.sqlite.rows import TASK_COLUMNS, states_to_json, task_from
from essaim.jobs.adapters.values import problem_to, stamp
from essaim.jobs.model import MERGE, Busy, Claim, Claimed, Ended, Job, Problem, State, Task

_TASKS = (
    f"SELECT {TASK_COLUMNS} FROM tasks WHERE job_id = :id AND number > :after "  # noqa: S608  # constants
    "AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states))) ORDER BY number LIMIT :limit"
)


def plan(db: sqlite3.Connection, job_id: str, run: int, inputs: Sequence[bytes]) -> int:
    if not inputs:
        raise ValueError("a job has at least one task")
    job = _job(db, job_id)
    if job["run"] != run:
        raise LeaseLostError(f"job {job_id} is in run {job['run']}: run {run} plans it no more")
    if job["tasks"] is None and not State(job["state"]).ended:
        db.executemany(
            "INSERT INTO tasks (job_id, number, input) VALUES (?, ?, ?) "
            "ON CONFLICT (job_id, number) DO UPDATE SET input = excluded.input",  # task 0 exists: it was claimed
            [(job_id, number, data) for number, data in enumerate(inputs)],
        )
        db.execute("UPDATE jobs SET tasks = ?, split_in = run WHERE id = ?", (len(inputs), job_id))
        if len(inputs) > 1:
            db.execute("UPDATE tasks SET splits = min(attempts, 1) WHERE job_id = ? AND number = 0", (job_id,))
    return _job(db, job_id)["tasks"] or 0


def list_page(db: sqlite3.Connection, job_id: str, states: Collection[State], after: int, limit: int) -> list[Task]:
    _job(db, job_id)
    values = {"id": job_id, "after": after, "states": states_to_json(states), "limit": limit}
    return [task_from(row) for row in db.execute(_TASKS, values)]


def claim(db: sqlite3.Connection, job_id: str, number: int, worker: str, lease: timedelta) -> Claimed | Busy | Ended:
    job = _job(db, job_id)
    ended = State(job["state"]).ended
    if job["tasks"] is None and number == 0:
        if ended:
            return Ended()
        db.execute("INSERT INTO tasks (job_id, number) VALUES (?, 0) ON CONFLICT DO NOTHING", (job_id,))
    sql = (
        "SELECT state, attempts, failures, lost, lease_until, input, checkpoint FROM tasks "
        "WHERE job_id = ? AND number = ?"
    )
    task = db.execute(sql, (job_id, number)).fetchone()
    if task is None:
        raise JobNotFoundError(f"job {job_id} has no task {number}")
    if not ended and job["tasks"] == job["tasks_ended"]:
        return merge_claim.claim(db, job_id, worker, lease)
    if ended or State(task["state"]).ended:
        return Ended()

    now = datetime.now(UTC)
    lost = task["state"] == State.RUNNING
    if lost and (seconds := seconds_left(task["lease_until"], now, lease)):
        return Busy(seconds)
    db.execute(
        "UPDATE tasks SET state = 'running', attempts = attempts + 1, lost = lost + ?, worker = ?, lease_until = ?, "
        "started = coalesce(started, ?) WHERE job_id = ? AND number = ?",
        (lost, worker, stamp(now + lease), stamp(now), job_id, number),
    )
    sql = "UPDATE jobs SET state = 'running', started = coalesce(started, ?) WHERE id = ? AND state = 'queued'"
    db.execute(sql, (stamp(now), job_id))
    return Claimed(
        Claim(job_id, number, task["attempts"] + 1, worker, job["run"]),
        input=task["input"],
        checkpoint=task["checkpoint"],
        failures=task["failures"],
        lost=task["lost"] + lost,
    )


def beat(
    db: sqlite3.Connection, claim: Claim, progress: float | None, checkpoint: bytes | None, lease: timedelta
) -> bool:
    if claim.number == MERGE:
        return merge_claim.beat(db, claim, lease)
    row = _attempt(db, claim)
    if State(row["job_state"]).ended:
        return False
    _must_run(row, claim)
    within = None if progress is None else min(1.0, max(0.0, progress))
    db.execute(
        "UPDATE tasks SET lease_until = ?, progress = coalesce(?, progress), checkpoint = coalesce(?, checkpoint) "
        "WHERE job_id = ? AND number = ?",
        (stamp(datetime.now(UTC) + lease), within, checkpoint, claim.job_id, claim.number),
    )
    return True


def release(db: sqlite3.Connection, claim: Claim, problem: Problem | None) -> None:
    if claim.number == MERGE:
        return merge_claim.release(db, claim)
    _must_run(_attempt(db, claim), claim)
    db.execute(
        "UPDATE tasks SET state = 'queued', worker = NULL, lease_until = NULL, failures = failures + ?, "
        "problem = coalesce(?, problem) WHERE job_id = ? AND number = ?",
        (problem is not None, problem_to(problem), claim.job_id, claim.number),
    )


def finish(db: sqlite3.Connection, claim: Claim, outcome: bytes | Problem) -> bool:
    """Idempotent: an attempt that did not get the answer asks again and gets the same one."""
    row = _attempt(db, claim)
    wanted = State.FAILED if isinstance(outcome, Problem) else State.SUCCEEDED
    if row["state"] != wanted:
        _must_run(row, claim)
        _end(db, claim, outcome)
        row = _attempt(db, claim)
    return not State(row["job_state"]).ended and row["tasks"] == row["tasks_ended"]


def results(db: sqlite3.Connection, job_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
    """A worker that still merges a completed job must not take deleted results for the end of the list."""
    _job(db, job_id)
    sql = (
        "SELECT number, result FROM tasks WHERE job_id = ? AND number > ? AND state = 'succeeded' "
        "ORDER BY number LIMIT ?"
    )
    rows = [(row["number"], row["result"]) for row in db.execute(sql, (job_id, after, limit))]
    if any(result is None for _, result in rows):
        raise LeaseLostError(f"job {job_id} was completed by somebody else, and the results of its tasks are gone")
    return rows


def begin(db: sqlite3.Connection, job: Job, worker: str, lease: timedelta) -> Claimed | None:
    sql = (
        "SELECT jobs.state = 'queued' AND jobs.run = 1 AND jobs.release = ? AND jobs.tasks IS NULL AND number IS NULL "
        "AS untouched FROM jobs "
        "LEFT JOIN tasks ON tasks.job_id = jobs.id AND number = 0 WHERE jobs.id = ?"
    )
    row = db.execute(sql, (job.release, job.id)).fetchone()
    if row is None:
        jobs.insert(db, job)
    elif not row["untouched"]:
        return None
    claimed = claim(db, job.id, 0, worker, lease)
    return claimed if isinstance(claimed, Claimed) else None


def conclude(db: sqlite3.Connection, claim: Claim, result: bytes) -> bool:
    sql = (
        "SELECT jobs.state, jobs.tasks, tasks.state AS task_state FROM jobs JOIN tasks ON tasks.job_id = jobs.id "
        "WHERE jobs.id = ? AND number = 0 AND run = ? AND attempts = ?"
    )
    row = db.execute(sql, (claim.job_id, claim.run, claim.attempt)).fetchone()
    if row is None or row["task_state"] != State.RUNNING or row["tasks"] is not None:
        return row is not None and row["state"] == State.SUCCEEDED and row["tasks"] == 1  # the same call, repeated
    db.execute("UPDATE jobs SET tasks = 1 WHERE id = ?", (claim.job_id,))
    finish(db, claim, result)
    jobs.end(db, claim.job_id, result)
    return True


def _end(db: sqlite3.Connection, claim: Claim, outcome: bytes | Problem) -> None:
    now = stamp()
    key = (claim.job_id, claim.number)
    if isinstance(outcome, Problem):
        problem = problem_to(outcome)
        sql = (
            "UPDATE tasks SET state = 'failed', ended = ?, lease_until = NULL, problem = ? "
            "WHERE job_id = ? AND number = ?"
        )
        db.execute(sql, (now, problem, *key))
        sql = "UPDATE jobs SET state = 'failed', ended = ?, problem = ? WHERE id = ?"
        db.execute(sql, (now, problem, claim.job_id))
        jobs.cancel_tasks(db, claim.job_id)
    else:
        sql = (
            "UPDATE tasks SET state = 'succeeded', ended = ?, lease_until = NULL, problem = NULL, progress = 1, "
            "checkpoint = NULL, result = ? WHERE job_id = ? AND number = ?"
        )
        db.execute(sql, (now, outcome, *key))


def _job(db: sqlite3.Connection, job_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(
        "SELECT state, run, tasks, tasks_ended FROM jobs WHERE id = ?", (job_id,)
    ).fetchone()
    if row is None:
        raise JobNotFoundError(f"there is no job {job_id}")
    return row


def _attempt(db: sqlite3.Connection, claim: Claim) -> sqlite3.Row:
    """The task and its job, unless a newer attempt holds it, in this run or a later one."""
    sql = (
        "SELECT tasks.state, attempts, jobs.state AS job_state, jobs.run, jobs.tasks, tasks_ended "
        "FROM tasks JOIN jobs ON jobs.id = job_id WHERE job_id = ? AND number = ?"
    )
    row: sqlite3.Row | None = db.execute(sql, (claim.job_id, claim.number)).fetchone()
    if row is None or (row["run"], row["attempts"]) != (claim.run, claim.attempt):
        raise lost(claim)
    return row


def _must_run(row: sqlite3.Row, claim: Claim) -> None:
    """Raises `LeaseLostError` if the task was released, revived or ended. When a job ends, so do its tasks."""
    if row["state"] != State.RUNNING:
        raise lost(claim)
