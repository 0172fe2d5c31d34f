"""What becomes of a task whose attempts raise: another try, later each time, until a person must look."""

import random

from jobs.errors import JobError
from jobs.model import Claimed, Problem, State
from jobs.ports import JobStore
from jobs.settings import Settings

EXHAUSTED = "attempts-exhausted"
REJECTED = "job-error"


def problem_of(error: Exception, claimed: Claimed, settings: Settings) -> Problem:
    """`REJECTED` if the workload says that none can succeed, `EXHAUSTED` if that was the last attempt."""
    if isinstance(error, JobError):
        return Problem(REJECTED, str(error))
    over = claimed.failures + 1 >= settings.max_attempts or claimed.lost >= settings.max_lost_attempts
    return Problem(EXHAUSTED if over else "exception", f"attempt {claimed.claim.attempt}: {error!r}")


def backoff(failures: int, settings: Settings) -> float:
    """Seconds until the next attempt."""
    delay: float = min(settings.retry_seconds * 2 ** (failures - 1), settings.max_retry_seconds)
    return delay * random.uniform(1.0, 1.25)  # noqa: S311  # jitter, no secret


async def left_unparked(store: JobStore, job_id: str, number: int) -> str | None:
    """Why the message of this ended task is to be parked after all: its attempts were used up, and whoever wrote that down
    was killed, or cut off from the queue, before it could. None: there is nothing left to do.

    The task tells, and not its job: a store may learn of the job's end only now. A message that came twice is parked twice.
    """
    found = await store.tasks(job_id, states=[State.FAILED], after=number - 1, limit=1)
    problem = found[0].problem if found and found[0].number == number else None
    return problem.detail if problem and problem.type == EXHAUSTED else None
