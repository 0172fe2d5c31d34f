"""Leases: how long one still holds, by the clock of the process that asks, and the error of whoever has lost it."""

from datetime import datetime, timedelta

from essaim.errors import LeaseLostError
from essaim.jobs.model import MERGE, Claim

FORGET_LEASES = 20  # a worker that has been silent for so many lease times is deleted
TOLERATED_PERIODS = 2  # clocks differ a little, and so may the lease times of two workers


def seconds_left(until: str, now: datetime, lease: timedelta) -> float:
    """Seconds until this lease ends; 0 if it has ended.

    A lease that lasts longer than any clock skew explains was written before a clock was set back. Whoever holds it writes
    the right time with the next beat; whoever died would keep the task until the clock is right again. So it has ended.
    """
    left = datetime.fromisoformat(until) - now
    return left.total_seconds() if timedelta() < left <= TOLERATED_PERIODS * lease else 0.0


def lost(claim: Claim) -> LeaseLostError:
    """The error of an attempt that may write no more."""
    aim = "to merge" if claim.number == MERGE else f"of task {claim.number} of"
    return LeaseLostError(f"attempt {claim.attempt} {aim} job {claim.job_id} has lost its lease")
