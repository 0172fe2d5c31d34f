"""Most jobs have one task, and its first attempt succeeds: then a job begins and ends by a transaction each."""

import sqlite3
from datetime import timedelta

from essaim.jobs.adapters.sqlite import jobs, tasks
from essaim.jobs.model import Claim, Claimed, Job, State


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
    claimed = tasks.claim(db, job.id, 0, worker, lease)
    return claimed if isinstance(claimed, Claimed) else None


def conclude(db: sqlite3.Connection, claim: Claim, result: bytes) -> bool:
    sql = (
        "SELECT jobs.state, jobs.tasks, tasks.state AS task_state FROM jobs JOIN tasks ON tasks.job_id = jobs.id "
        "WHERE jobs.id = ? AND number = 0 AND run = ? AND attempts = ?"
    )
    row = db.execute(sql, (claim.job_id, claim.run, claim.attempt)).fetchone()
    if row is None or row["task_state"] != State.RUNNING or row["tasks"] is not None:
        return row is not None and row["state"] == State.SUCCEEDED and row["tasks"] == 1  # said again
    db.execute("UPDATE jobs SET tasks = 1 WHERE id = ?", (claim.job_id,))
    tasks.finish(db, claim, result)
    jobs.end(db, claim.job_id, result)
    return True
