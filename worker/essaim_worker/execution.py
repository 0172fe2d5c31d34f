"""Runs jobs: splits them, runs their tasks, merges the results, and decides what follows a failed or stopped attempt.

Most jobs take the short cut: they split into a single task, which is run and merged under the claim that split the job, and one
write ends both. Every step may be done again after a crash; claims fence off all attempts but the latest.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from essaim.errors import (
    BackendError,
    InputsChangedError,
    JobError,
    JobNotFoundError,
    LeaseLostError,
    QueueFullError,
    UnavailableError,
)
from essaim.jobs.backends import Backends
from essaim.jobs.endings import SOON, publish_ended
from essaim.jobs.events import JobRetried, TaskReady, state_event, to_event
from essaim.jobs.model import MERGE, Busy, Claim, Claimed, Ended, Job, Problem, State
from essaim.jobs.settings import Settings
from essaim.telemetry import bound, log, since, span
from essaim_worker.attempt import Attempt
from essaim_worker.runner import Reason, Runner, StoppedError, Threads
from essaim_worker.settlement import Settlement, ack, release, report_and_park, retry
from essaim_worker.workload import load_workload

EXHAUSTED = "attempts-exhausted"
OPEN = (State.QUEUED, State.RUNNING)
TASKS_AT_ONCE = 1000  # published in one call


@dataclass(frozen=True)
class MergeDue:
    """Every task of the job has succeeded. `end_published`: its `JobEnded` message is already on the queue."""

    end_published: bool


class Executor:
    """Runs attempts, several at once. `running` holds them by `job id/number`.

    Methods return how to settle the delivery. They raise what the backends raise, `LeaseLostError` excepted.
    """

    def __init__(self, backends: Backends, settings: Settings, worker: str) -> None:
        self._backends = backends
        self._store = backends.store
        self._settings = settings
        self._worker = worker
        self._threads = Threads()
        self._workload = load_workload(settings.workload)
        self.running: dict[str, Runner] = {}

    async def run_job(self, job: Job) -> Settlement:
        """Publish a message for each open task, or run here what needs none: the split, the only task, the merge."""
        if job.tasks is not None and job.tasks > 1 and not job.state.ended and await self._announce(job):
            return ack()
        return await self.claim_and_run(job, 0)

    async def claim_and_run(self, job: Job, number: int, *, end_published: bool = False) -> Settlement:
        """Run a task, or merge the job if all of its tasks have succeeded."""
        match await self._store.claim(job.id, number, self._worker):
            case Busy(seconds):
                return retry(min(seconds, self._settings.lease_seconds))
            case Ended():
                reason = await self._reason_to_park(job.id, number)
                return report_and_park(reason) if reason else ack()
            case Claimed(claim) as claimed if claim.run == job.run:
                return await self.run_attempt(job, claimed, end_published=end_published)
            case Claimed(claim):  # retried meanwhile, perhaps by another release: the next delivery reads the job again
                with suppress(LeaseLostError):
                    await self._store.release(claim)
                return release()

    async def _reason_to_park(self, job_id: str, number: int) -> str | None:
        """Why the message of this ended task must still be parked: its attempts were exhausted, and the worker that
        recorded so was killed or cut off before it could park the message. None: nothing is left to do.

        Asks the task first, since a store may write the end of the job later. A message that came twice is parked twice.
        """
        found = await self._store.tasks(job_id, after=number - 1, limit=1)
        task = found[0] if found and found[0].number == number else None
        problem = task and task.problem
        if task and task.state is State.SUCCEEDED:  # its message was also the one for the merge
            problem = (await self._store.get(job_id)).problem
        return problem.detail if problem and problem.type == EXHAUSTED else None

    async def run_attempt(self, job: Job, claimed: Claimed, *, end_published: bool = False) -> Settlement:
        """Run the claimed task or merge to its end, and merge the job if this was its last task."""
        claim, key = claimed.claim, f"{job.id}/{claimed.claim.number}"
        fields = {} if claim.number == MERGE else {"task": claim.number}
        self.running[key] = runner = Runner(self._backends, self._settings, claimed, self._threads)
        try:
            with bound(**fields, attempt=claim.attempt):
                outcome = await self._run_claimed(job, claimed, runner, end_published)
        finally:
            if self.running.get(key) is runner:  # else this process has a newer attempt of the same task
                del self.running[key]
        if isinstance(outcome, MergeDue):
            return await self.claim_and_run(job, claim.number, end_published=outcome.end_published)
        return outcome

    async def _run_claimed(
        self, job: Job, claimed: Claimed, runner: Runner, end_published: bool
    ) -> Settlement | MergeDue:
        is_merge = claimed.claim.number == MERGE
        if is_merge:
            log("job.merging")
        else:
            log("task.claimed", waited=since(job.queued))
        try:
            if claimed.lost >= self._settings.max_lost_attempts:
                raise RuntimeError(f"{claimed.lost} workers vanished while they ran this task")
            if is_merge:
                return await self._merge(job, claimed.claim, runner, end_published)
            with span("attempt", link=job.traceparent):
                outcome = await self._split_or_run(job, claimed, runner)
            if outcome is None:
                await self._store.release(claimed.claim)
                await self._announce(job)
            return outcome or ack()
        except StoppedError as stopped:
            return await self._stopped(stopped.reason, claimed)
        except LeaseLostError:
            return await self._stopped(Reason.LOST, claimed)
        except BackendError:
            if is_merge:  # nothing to resume: let the next attempt begin before the lease ends
                with suppress(LeaseLostError, UnavailableError):
                    await self._store.release(claimed.claim)
            raise
        except Exception as error:
            return await self._failed(job, claimed, error)

    async def _split_or_run(self, job: Job, claimed: Claimed, runner: Runner) -> Settlement | MergeDue | None:
        """Split the job if it is not yet, and run its only task. None: there are several, to be announced."""
        claim, data, result, merged = claimed.claim, claimed.input, None, None
        if data is None:
            limit = self._settings.max_tasks_per_job
            inputs, result, merged = await runner.run(
                lambda attempt: self._workload.run_single_task(job, attempt, limit, runner.defer_plan)
            )
            if merged is not None and await self._conclude(job, claim, merged):
                return ack()
            if await self._store.plan(job.id, claim.run, inputs) > 1:
                return None
            data = inputs[0]
        if result is None:
            result = await runner.run(lambda attempt: self._workload.run(job, data, attempt))
        packed = await self._backends.results.pack(f"{job.id}/task-{claim.number}-{claim.run}-{claim.attempt}", result)
        all_succeeded = await self._store.finish(claim, packed)
        log("task.finished")
        return MergeDue(end_published=merged is not None) if all_succeeded else ack()

    async def _conclude(self, job: Job, claim: Claim, result: bytes) -> bool:
        """End a job and its only task in one write. False: that takes `finish` and a merge. Publishes `JobEnded` either way."""
        packed = await self._backends.results.pack(f"{job.id}/job-{job.run}-{claim.attempt}", result)
        await publish_ended(self._backends.queue, job)
        concluded = await self._store.conclude(claim, packed)
        if concluded:
            self._report_ended(job, packed)
        return concluded

    async def _announce(self, job: Job) -> int:
        """Publish a message for each task that has not ended, and return how many. A task announced twice runs once.

        A full queue takes them with a delay: otherwise a queue full of jobs to be split would stay full for ever.
        """
        after, count = -1, 0
        while page := await self._store.tasks(job.id, states=OPEN, after=after, limit=TASKS_AT_ONCE):
            ready = [to_event(TaskReady(job.id, task.number), job.release, job.traceparent) for task in page]
            try:
                await self._backends.queue.publish(ready)
            except QueueFullError:
                await self._backends.queue.publish(ready, delay=SOON)
            after, count = page[-1].number, count + len(page)
        log("job.announced", tasks=count)
        return count

    async def _merge(self, job: Job, claim: Claim, runner: Runner, end_published: bool) -> Settlement:
        """Merge the results of the tasks and end the job. A merge that raises fails the job: it would raise again."""
        outcome: bytes | Problem
        results = self._unpacked(self._store.results(job.id), asyncio.get_running_loop())
        try:
            with span("merge"):
                result = await runner.run(lambda attempt: self._workload.merge(job, _until_stopped(results, attempt)))
            outcome = await self._backends.results.pack(f"{job.id}/merge-{claim.run}-{claim.attempt}", result)
        except (UnavailableError, JobNotFoundError, StoppedError):
            raise
        except LeaseLostError:
            return ack()  # another attempt has merged and ended it
        except JobError as error:
            outcome = Problem("job-error", str(error))
        except Exception as error:
            outcome = Problem("merge-failed", f"merging the results raised {error!r}")
            log("job.merge_failed", error=error)
        if not end_published:
            await publish_ended(self._backends.queue, job)
        if await self._store.complete(claim, outcome):
            self._report_ended(job, outcome)
        return ack()

    def _unpacked(self, packed: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
        """For the workload's thread, one at a time: the results of a job together may be larger than memory."""

        async def following() -> bytes | None:
            item = await anext(packed, None)
            return None if item is None else await self._backends.results.unpack(item)

        while (result := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
            yield result

    async def _stopped(self, reason: Reason, claimed: Claimed) -> Settlement:
        log("task.stopped", reason=reason)
        match reason:
            case Reason.ENDED:
                return ack()
            case Reason.LOST:
                return retry(self._settings.lease_seconds)
            case Reason.DRAINING:
                with suppress(LeaseLostError):
                    await self._store.release(claimed.claim)
                return release()

    async def _failed(self, job: Job, claimed: Claimed, error: Exception) -> Settlement:
        """Retry the task or merge later, or fail the job: at once for a `JobError`, else when the attempts are exhausted."""
        settings, claim, failures = self._settings, claimed.claim, claimed.failures + 1
        sentence = f"attempt {claim.attempt}: {error!r}"
        try:
            if isinstance(error, JobError):
                log("task.rejected", reason=error)
                inputs_changed = isinstance(error, InputsChangedError)
                if not (inputs_changed and await self._split_again(job)):
                    problem = Problem("inputs-changed" if inputs_changed else "job-error", str(error))
                    await self._fail_job(job, claim, problem)
                return ack()
            log("task.failed", level=logging.WARNING, error=error, failures=failures)
            if failures >= settings.max_attempts or claimed.lost >= settings.max_lost_attempts:
                await self._fail_job(job, claim, Problem(EXHAUSTED, sentence))
                return report_and_park(sentence)
            await self._store.release(claim, Problem("exception", sentence))
            delay = min(settings.retry_seconds * 2 ** (failures - 1), settings.max_retry_seconds)
            return retry(delay * random.uniform(1.0, 1.25))  # noqa: S311  # jitter, no secret
        except LeaseLostError:
            return await self._stopped(Reason.LOST, claimed)

    async def _split_again(self, job: Job) -> bool:
        """Start the job anew, in its next run, if an earlier run than this one split it. Returns whether that was so."""
        if job.split_in is None or job.split_in == job.run:
            return False
        retried = JobRetried(job.id, job.run + 1, taken_from=job.release, anew=True)
        await self._backends.queue.publish([to_event(retried, job.release, job.traceparent)])
        log("job.split_again", run=retried.run)
        await self._store.revive(job.id, retried.run, job.release, retried.taken_from, anew=True)
        return True

    async def _fail_job(self, job: Job, claim: Claim, problem: Problem) -> None:
        """End the claimed task or merge, and with it the job. Raises `LeaseLostError`."""
        await publish_ended(self._backends.queue, job)
        if claim.number != MERGE:
            await self._store.finish(claim, problem)
        elif not await self._store.complete(claim, problem):
            raise LeaseLostError(f"job {job.id} has ended otherwise")
        self._report_ended(job, problem)

    def _report_ended(self, job: Job, outcome: bytes | Problem) -> None:
        problem = outcome if isinstance(outcome, Problem) else None
        if problem:
            log("job.failed", kind=problem.type, reason=problem.detail, seconds=since(job.queued))
        else:
            log("job.succeeded", seconds=since(job.queued))
        state = State.FAILED if problem else State.SUCCEEDED
        ended = replace(job, state=state, problem=problem, ended=datetime.now(UTC))
        self._backends.queue.notify(state_event(ended))


def _until_stopped(results: Iterator[bytes], attempt: Attempt) -> Iterator[bytes]:
    for result in results:
        attempt.check()
        yield result
