"""What happens to jobs, each function inside one transaction."""

import sqlite3
from collections.abc import Collection
from datetime import datetime

from essaim.errors import JobNotFoundError
from essaim.jobs.adapters.sqlite.rows import JOB_COLUMNS, JOB_ROWS, job_from, stamp_or_none
from essaim.jobs.adapters.values import cursor_at, parse_cursor, problem_to, stamp, to_json
from essaim.jobs.model import Job, Page, Problem, State

_GET = f"SELECT {JOB_COLUMNS}, result FROM {JOB_ROWS} WHERE id = ?"  # noqa: S608  # constants
_GET_MANY = (
    f"SELECT {JOB_COLUMNS} FROM {JOB_ROWS} WHERE id IN (SELECT value FROM json_each(?)) "  # noqa: S608  # constants
    "ORDER BY created DESC, id DESC"
)
# One index serves each of these from the cursor on, however many jobs there are; one for several states would sort all.
_KEYS = (
    "SELECT created, id FROM jobs WHERE state = :state AND (created, id) < (:created, :id) "
    "ORDER BY created DESC, id DESC LIMIT :limit"
)
_KEYS_OF_RELEASE = _KEYS.replace("WHERE", "WHERE release = :release AND")
_NEWEST = ("9999", "")


def submit(db: sqlite3.Connection, job: Job) -> Job:
    if row := db.execute(_GET, (job.id,)).fetchone():
        return job_from(row, row["result"])
    insert(db, job)
    return job


def insert(db: sqlite3.Connection, job: Job) -> None:
    db.execute(
        "INSERT INTO jobs (id, owner, release, fingerprint, created, state, run, started, ended, tasks, problem, "
        "callback, traceparent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(job.id, job.owner, job.release, job.fingerprint, stamp(job.created), job.state, job.run),
            *(stamp_or_none(job.started), stamp_or_none(job.ended), job.tasks, problem_to(job.problem)),
            *(job.callback, job.traceparent),
        ),
    )
    values = (job.id, to_json(job.request), job.result)
    db.execute("INSERT INTO payloads (job_id, request, result) VALUES (?, ?, ?)", values)


def get(db: sqlite3.Connection, job_id: str) -> Job:
    row = db.execute(_GET, (job_id,)).fetchone()
    if row is None:
        raise JobNotFoundError(f"there is no job {job_id}")
    return job_from(row, row["result"])


def list_page(
    db: sqlite3.Connection, states: Collection[State], release: str | None, limit: int, cursor: str | None
) -> Page:
    created, job_id = _NEWEST if cursor is None else parse_cursor(cursor)
    values = {"release": release, "created": created, "id": job_id, "limit": limit + 1}
    sql = _KEYS if release is None else _KEYS_OF_RELEASE
    keys = [tuple(row) for state in set(states or State) for row in db.execute(sql, {**values, "state": state})]
    chosen = sorted(keys, reverse=True)[:limit]
    rows = db.execute(_GET_MANY, (to_json([job_id for _, job_id in chosen]),))
    return Page([job_from(row) for row in rows], cursor_at(*chosen[-1]) if len(keys) > limit else None)


def end(db: sqlite3.Connection, job_id: str, outcome: bytes | Problem) -> None:
    """Delete the results of the tasks if the job has succeeded; if it has failed, a retry merges them again."""
    state, problem = (State.FAILED, outcome) if isinstance(outcome, Problem) else (State.SUCCEEDED, None)
    sql = "UPDATE jobs SET state = ?, problem = ?, ended = ? WHERE id = ?"
    db.execute(sql, (state, problem_to(problem), stamp(), job_id))
    if not isinstance(outcome, Problem):
        db.execute("UPDATE payloads SET result = ? WHERE job_id = ?", (outcome, job_id))
        db.execute("UPDATE tasks SET result = NULL WHERE job_id = ?", (job_id,))


def cancel(db: sqlite3.Connection, job_id: str) -> Job:
    sql = "UPDATE jobs SET state = 'cancelled', ended = ? WHERE id = ? AND state IN ('queued', 'running')"
    if db.execute(sql, (stamp(), job_id)).rowcount:
        cancel_tasks(db, job_id)
    return get(db, job_id)


def cancel_tasks(db: sqlite3.Connection, job_id: str) -> None:
    """Cancel the tasks that have not ended. Checkpoints stay, for a retry."""
    sql = (
        "UPDATE tasks SET state = 'cancelled', ended = ?, lease_until = NULL "
        "WHERE job_id = ? AND state IN ('queued', 'running')"
    )
    db.execute(sql, (stamp(), job_id))


def revive(db: sqlite3.Connection, job_id: str, run: int, release: str, taken_from: str | None, anew: bool) -> Job:
    before = get(db, job_id)
    changed = db.execute(
        "UPDATE jobs SET state = 'queued', run = :run, release = :release, problem = NULL, started = NULL, ended = NULL, "
        "retried = :now, merge_lost = 0, merge_lease_until = NULL "
        "WHERE id = :id AND run = :run - 1 "
        "AND (state = 'failed' OR (state IN ('queued', 'running') AND release = :taken_from))",
        {"id": job_id, "run": run, "release": release, "taken_from": taken_from, "now": stamp()},
    ).rowcount
    if changed and release == before.release and not anew:
        db.execute(
            "UPDATE tasks SET state = 'queued', failures = 0, lost = 0, worker = NULL, lease_until = NULL, "
            "started = NULL, ended = NULL, problem = NULL WHERE job_id = ? AND state <> 'succeeded'",
            (job_id,),
        )
    elif changed:
        db.execute("DELETE FROM tasks WHERE job_id = ?", (job_id,))
        db.execute(
            "UPDATE jobs SET tasks = NULL, split_in = NULL, tasks_ended = 0, progress_sum = 0 WHERE id = ?", (job_id,)
        )
    return get(db, job_id)


def counts(db: sqlite3.Connection) -> dict[str, dict[State, int]]:
    found: dict[str, dict[State, int]] = {}
    for row in db.execute("SELECT release, state, jobs FROM counts WHERE jobs > 0 ORDER BY release, state"):
        found.setdefault(row["release"], {})[State(row["state"])] = row["jobs"]
    return found


def ended_before(db: sqlite3.Connection, before: datetime, limit: int) -> list[str]:
    sql = "SELECT id FROM jobs WHERE ended < ? ORDER BY ended LIMIT ?"
    return [row["id"] for row in db.execute(sql, (stamp(before), limit))]


def delete(db: sqlite3.Connection, job_id: str, before: datetime) -> bool:
    return db.execute("DELETE FROM jobs WHERE id = ? AND ended < ?", (job_id, stamp(before))).rowcount > 0
