"""The claim to merge a job, each function inside one transaction."""

import sqlite3
from datetime import UTC, datetime, timedelta

from essaim.jobs.adapters.lease_time import lost, seconds_left
from essaim.jobs.adapters.sqlite import jobs
from essaim.jobs.adapters.values import stamp
from essaim.jobs.model import ENDED, MERGE, Busy, Claim, Claimed, Problem


def claim(db: sqlite3.Connection, job_id: str, worker: str, lease: timedelta) -> Claimed | Busy:
    """The tasks of the job have all succeeded, and it is open."""
    sql = "SELECT run, merge_attempts, merge_lost, merge_lease_until FROM jobs WHERE id = ?"
    row = db.execute(sql, (job_id,)).fetchone()
    now, until = datetime.now(UTC), row["merge_lease_until"]
    if until and (seconds := seconds_left(until, now, lease)):
        return Busy(seconds)
    attempt, lost = row["merge_attempts"] + 1, row["merge_lost"] + (until is not None)
    sql = (
        "UPDATE jobs SET state = 'running', started = coalesce(started, ?), merge_attempts = ?, merge_lost = ?, "
        "merge_lease_until = ? WHERE id = ?"
    )
    db.execute(sql, (stamp(now), attempt, lost, stamp(now + lease), job_id))
    return Claimed(
        Claim(job_id, MERGE, attempt, worker, row["run"]), input=None, checkpoint=None, failures=0, lost=lost
    )


def beat(db: sqlite3.Connection, claim: Claim, lease: timedelta) -> bool:
    if not _is_open(db, claim):
        return False
    until = stamp(datetime.now(UTC) + lease)
    db.execute("UPDATE jobs SET merge_lease_until = ? WHERE id = ?", (until, claim.job_id))
    return True


def release(db: sqlite3.Connection, claim: Claim) -> None:
    if not _is_open(db, claim):
        raise lost(claim)
    db.execute("UPDATE jobs SET merge_lease_until = NULL WHERE id = ?", (claim.job_id,))


def complete(db: sqlite3.Connection, claim: Claim, outcome: bytes | Problem) -> bool:
    if not _is_open(db, claim):
        return False
    jobs.end(db, claim.job_id, outcome)
    return True


def _is_open(db: sqlite3.Connection, claim: Claim) -> bool:
    """False: the job has ended in this run. Raises `LeaseLostError` unless this claim is the latest and not released."""
    sql = "SELECT state, run, merge_attempts, merge_lease_until FROM jobs WHERE id = ?"
    row = db.execute(sql, (claim.job_id,)).fetchone()
    if row is not None and row["run"] == claim.run and row["state"] in ENDED:
        return False
    if row is None or (row["run"], row["merge_attempts"]) != (claim.run, claim.attempt) or not row["merge_lease_until"]:
        raise lost(claim)
    return True
