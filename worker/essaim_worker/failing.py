"""What becomes of a task whose attempts raise: another try, later each time, until a person must look."""

import random

from essaim.errors import InputsChangedError, JobError
from essaim.jobs.backends import Backends
from essaim.jobs.events import JobRetried, to_event
from essaim.jobs.model import Claimed, Job, Problem, State
from essaim.jobs.ports import JobStore
from essaim.jobs.settings import Settings
from essaim.telemetry import log

EXHAUSTED = "attempts-exhausted"
REJECTED = "job-error"
INPUTS_CHANGED = "inputs-changed"
FINAL = frozenset({REJECTED, INPUTS_CHANGED})  # no other attempt could succeed


def problem_of(error: Exception, claimed: Claimed, settings: Settings) -> Problem:
    """One of `FINAL` if no attempt can succeed, `EXHAUSTED` if that was the last one."""
    if isinstance(error, InputsChangedError):
        return Problem(INPUTS_CHANGED, str(error))
    if isinstance(error, JobError):
        return Problem(REJECTED, str(error))
    over = claimed.failures + 1 >= settings.max_attempts or claimed.lost >= settings.max_lost_attempts
    return Problem(EXHAUSTED if over else "exception", f"attempt {claimed.claim.attempt}: {error!r}")


async def split_again(backends: Backends, job: Job, problem: Problem) -> bool:
    """Start a job anew, in one more run, if a retry has found that inputs changed since an earlier run split it.

    False: this is not such a problem.
    """
    if problem.type != INPUTS_CHANGED or job.split_in is None or job.split_in == job.run:
        return False
    retried = JobRetried(job.id, job.run + 1, taken_from=job.release, anew=True)
    await backends.queue.publish([to_event(retried, job.release, job.traceparent)])
    log("job.split_again", run=retried.run)
    await backends.store.revive(job.id, retried.run, job.release, retried.taken_from, anew=True)
    return True


def backoff(failures: int, settings: Settings) -> float:
    """Seconds until the next attempt."""
    delay: float = min(settings.retry_seconds * 2 ** (failures - 1), settings.max_retry_seconds)
    return delay * random.uniform(1.0, 1.25)  # noqa: S311  # jitter, no secret


async def left_unparked(store: JobStore, job_id: str, number: int) -> str | None:
    """Why the message of this ended task is to be parked after all: its attempts were used up, and whoever wrote that down
    was killed, or cut off from the queue, before it could. None: there is nothing left to do.

    The task tells, and not its job: a store may learn of the job's end only now. A message that came twice is parked twice.
    """
    found = await store.tasks(job_id, after=number - 1, limit=1)
    task = found[0] if found and found[0].number == number else None
    problem = task and task.problem
    if task and task.state is State.SUCCEEDED:  # its message was also the one for the merge
        problem = (await store.get(job_id)).problem
    return problem.detail if problem and problem.type == EXHAUSTED else None
