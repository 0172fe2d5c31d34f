"""The last step of a job: all its tasks' results become its own. Done again after a crash: same result, one completion.

Or the problem of one task becomes that of the job. Either way `JobEnded` is published first.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from essaim.errors import JobError, JobNotFoundError, LeaseLostError, UnavailableError
from essaim.jobs.backends import Backends
from essaim.jobs.endings import publish_ended
from essaim.jobs.events import state_event
from essaim.jobs.model import MERGE, Claim, Job, Problem, State
from essaim.telemetry import log, since, span
from essaim_worker.attempt import Attempt
from essaim_worker.runner import Runner, StoppedError
from essaim_worker.workload import Workload


async def merge_job(
    backends: Backends, job: Job, runner: Runner, workload: Workload, *, end_published: bool = False
) -> None:
    """Merge the results of the job's tasks, which have all succeeded, and complete it, under the claim that `runner` keeps.

    A merge that raises fails the job: it would raise again, since its input never changes. `end_published`: it has been
    seen to already that its end is told. Raises `StoppedError`.
    """
    outcome: bytes | Problem
    packed = _each(backends, backends.store.results(job.id), asyncio.get_running_loop())
    try:
        with span("merge"):
            result = await runner.run(lambda attempt: workload.merge(job, _stopping(packed, attempt)))
        outcome = await backends.results.pack(f"{job.id}/job-{job.run}", result)
    except (UnavailableError, JobNotFoundError, StoppedError):
        raise
    except LeaseLostError:
        return  # somebody else has merged and completed it meanwhile
    except JobError as error:
        outcome = Problem("job-error", str(error))
    except Exception as error:
        outcome = Problem("merge-failed", f"merging the results raised {error!r}")
        log("job.merge_failed", error=error)
    if not end_published:
        await publish_ended(backends.queue, job)
    if await backends.store.complete(job.id, job.run, outcome):
        _tell(backends, job, outcome)


async def fail_job(backends: Backends, job: Job, claim: Claim, problem: Problem) -> None:
    """End the claimed task, or merge, and its job with a problem. Raises `LeaseLostError`."""
    await publish_ended(backends.queue, job)
    if claim.number != MERGE:
        await backends.store.finish(claim, problem)
    elif not await backends.store.complete(job.id, claim.run, problem):
        raise LeaseLostError(f"job {job.id} has ended otherwise")
    _tell(backends, job, problem)


def _tell(backends: Backends, job: Job, outcome: bytes | Problem) -> None:
    problem = outcome if isinstance(outcome, Problem) else None
    if problem:
        log("job.failed", kind=problem.type, reason=problem.detail, seconds=since(job.queued))
    else:
        log("job.succeeded", seconds=since(job.queued))
    state = State.FAILED if problem else State.SUCCEEDED
    ended = replace(job, state=state, problem=problem, ended=datetime.now(UTC))
    backends.queue.notify(state_event(ended))


async def conclude_job(backends: Backends, job: Job, claim: Claim, result: bytes) -> bool:
    """End a job and its only task at once. False: it takes `finish` and `merge_job`, if it can still be ended at all.

    That its end is told has been seen to either way.
    """
    packed = await backends.results.pack(f"{job.id}/job-{job.run}-{claim.attempt}", result)
    await publish_ended(backends.queue, job)
    concluded = await backends.store.conclude(claim, packed)
    if concluded:
        _tell(backends, job, packed)
    return concluded


def _stopping(results: Iterator[bytes], attempt: Attempt) -> Iterator[bytes]:
    """The same, until it is time to go."""
    for result in results:
        attempt.check()
        yield result


def _each(backends: Backends, packed: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """One at a time: a job's results together may be larger than memory."""

    async def following() -> bytes | None:
        item = await anext(packed, None)
        return None if item is None else await backends.results.unpack(item)

    while (result := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
        yield result
