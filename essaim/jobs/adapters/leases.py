"""How long a lease still holds, by the clock of the process that asks."""

from datetime import datetime, timedelta

TOLERATED_PERIODS = 2  # clocks differ a little, and so may the lease times of two workers


def seconds_left(until: str, now: datetime, lease: timedelta) -> float:
    """Seconds until this lease ends; 0 if it has ended.

    A lease that lasts longer than any clock skew explains was written before a clock was set back. Whoever holds it writes
    the right time with the next beat; whoever died would keep the task until the clock is right again. So it has ended.
    """
    left = datetime.fromisoformat(until) - now
    return left.total_seconds() if timedelta() < left <= TOLERATED_PERIODS * lease else 0.0
