"""What a worker does with one delivery: split a job, run a task, merge a job, tell its end; then settle the delivery.

Every way out settles it: `ack` when nothing is left to do, `retry` to come back later, `release` when this worker
leaves, `park` when a person must look. A crash settles nothing, and the message comes back.
"""

import logging
from collections.abc import Coroutine
from contextlib import suppress
from enum import Enum, auto

from essaim.errors import JobNotFoundError, LeaseLostError, MessageUnreadableError, QueueFullError, UnavailableError
from essaim.jobs.backends import Backends
from essaim.jobs.events import JobEnded, JobRetried, JobSubmitted, TaskReady, from_event, parent_span
from essaim.jobs.model import MERGE, Busy, Claimed, Ended, Job
from essaim.jobs.ports import Delivery
from essaim.jobs.settings import Settings
from essaim.telemetry import bound, log, since, span
from essaim_worker.announcing import announce
from essaim_worker.execution import conclude_job, fail_job, merge_job
from essaim_worker.failing import EXHAUSTED, FINAL, backoff, left_unparked, problem_of, split_again
from essaim_worker.runner import Reason, Runner, StoppedError, Threads
from essaim_worker.telling import Teller
from essaim_worker.workload import load_workload


class Left(Enum):
    """What an attempt leaves to be done: tasks to announce, or a merge, since every task has succeeded."""

    NOTHING = auto()
    TASKS = auto()
    MERGE = auto()


class Handler:
    """Handles deliveries, several at once. `running` holds the attempts under way, by `job id/number`."""

    def __init__(self, backends: Backends, settings: Settings, worker: str) -> None:
        self._backends = backends
        self._store = backends.store
        self._settings = settings
        self._worker = worker
        self._teller = Teller(backends, settings)
        self._threads = Threads()
        self._workload = load_workload(settings.workload)
        self.running: dict[str, Runner] = {}

    async def handle(self, delivery: Delivery) -> None:
        """Do what the message asks and settle the delivery. Raises nothing."""
        event = delivery.event
        about = {"job": event.get_subject()} if event.get_subject() else {}
        with bound(**about), span("handle", kind="consumer", parent=parent_span(event), message=event.get_type()):
            await self._handle(delivery)

    async def _handle(self, delivery: Delivery) -> None:
        try:
            match from_event(delivery.event):
                case JobSubmitted(job):
                    if claimed := await self._store.begin(job, self._worker):
                        await self._attempt(job, claimed, delivery)
                    else:
                        await self._expand(self._own(await self._store.submit(job)), delivery)
                case JobRetried(job_id, run, taken_from, anew):
                    job = await self._store.revive(job_id, run, self._settings.release, taken_from, anew=anew)
                    await self._expand(self._own(job), delivery)
                case TaskReady(job_id, number):
                    await self._run(self._own(await self._store.get(job_id)), number, delivery)
                case JobEnded() as message:
                    await self._teller.tell(message, delivery)
        except JobNotFoundError as error:  # purged since, or retried by another release: nobody waits for it here
            log("message.obsolete", reason=error)
            await self._settle(delivery.ack())
        except (UnavailableError, QueueFullError) as error:
            log("message.delayed", level=logging.WARNING, reason=error)
            await self._settle(delivery.retry(self._settings.retry_seconds))
        except MessageUnreadableError as error:
            await self._park(delivery, str(error))
        except Exception as error:  # a mistake of ours: keep the message, go on with the rest
            await self._park(delivery, f"unexpected {error!r}", error)

    def _own(self, job: Job) -> Job:
        """The job. Raises `JobNotFoundError` for another release's: that has a message of its own for it."""
        if job.release != self._settings.release:
            raise JobNotFoundError(f"job {job.id} is of release {job.release} now, in its run {job.run}")
        return job

    async def _expand(self, job: Job, delivery: Delivery) -> None:
        """A job with several tasks gets a message for each; one with a single task, or not split yet, runs here."""
        if job.state.ended:
            await self._leave(job.id, 0, delivery)
        elif job.tasks is None or job.tasks == 1:
            await self._run(job, 0, delivery)
        elif await announce(self._backends, job):
            await self._settle(delivery.ack())
        else:  # every task has succeeded before: what is left is the merge
            await self._run(job, 0, delivery)

    async def _run(self, job: Job, number: int, delivery: Delivery, *, end_published: bool = False) -> None:
        match await self._store.claim(job.id, number, self._worker):
            case Busy(seconds):
                await self._settle(delivery.retry(min(seconds, self._settings.lease_seconds)))
            case Ended():
                await self._leave(job.id, number, delivery)
            case Claimed(claim) as claimed if claim.run == job.run:
                await self._attempt(job, claimed, delivery, end_published=end_published)
            case Claimed(claim):  # retried since we looked, perhaps by another release: look again
                with suppress(LeaseLostError):
                    await self._store.release(claim)
                await self._settle(delivery.release())

    async def _leave(self, job_id: str, number: int, delivery: Delivery) -> None:
        reason = await left_unparked(self._store, job_id, number)
        await (self._park(delivery, reason) if reason else self._settle(delivery.ack()))

    async def _attempt(self, job: Job, claimed: Claimed, delivery: Delivery, *, end_published: bool = False) -> None:
        number, attempt = claimed.claim.number, claimed.claim.attempt
        with bound(attempt=attempt) if number == MERGE else bound(task=number, attempt=attempt):
            unmerged, end_published = await self._try(job, claimed, delivery, end_published)
        if unmerged:
            await self._run(job, number, delivery, end_published=end_published)

    async def _try(self, job: Job, claimed: Claimed, delivery: Delivery, end_published: bool) -> tuple[bool, bool]:
        """Settles the delivery unless the job can be merged now. Whether it can, and whether its `JobEnded` is published."""
        claim, key, left = claimed.claim, f"{job.id}/{claimed.claim.number}", Left.NOTHING
        if claim.number == MERGE:
            log("job.merging")
        else:
            log("task.claimed", waited=since(job.queued))
        self.running[key] = runner = Runner(self._backends, self._settings, claimed, self._threads)
        try:
            if claimed.lost >= self._settings.max_lost_attempts:
                raise RuntimeError(f"{claimed.lost} workers vanished while they ran this task")
            if claim.number == MERGE:
                await merge_job(self._backends, job, runner, self._workload, end_published=end_published)
            else:
                with span("attempt", link=job.traceparent):
                    left, end_published = await self._work(job, claimed, runner)
            if left is Left.TASKS:
                await self._store.release(claim)
                await announce(self._backends, job)
        except StoppedError as stopped:
            await self._stopped(stopped.reason, claimed, delivery)
        except LeaseLostError:
            await self._stopped(Reason.LOST, claimed, delivery)
        except (UnavailableError, QueueFullError):
            if claim.number == MERGE:  # the results of its tasks stay: the next one can begin at once
                with suppress(LeaseLostError, UnavailableError):
                    await self._store.release(claim)
            raise
        except Exception as error:
            await self._failed(job, claimed, error, delivery)
        else:
            if left is not Left.MERGE:
                await self._settle(delivery.ack())
        finally:
            if self.running.get(key) is runner:  # else this process has a newer attempt of the same task
                del self.running[key]
        return left is Left.MERGE, end_published

    async def _work(self, job: Job, claimed: Claimed, runner: Runner) -> tuple[Left, bool]:
        """Split the job if nobody has, then run the task, if it is the only one.

        What is left to do, and whether it has been seen to that the job's end is told.
        """
        claim, data, result, merged = claimed.claim, claimed.input, None, None
        if data is None:
            limit, split_into = self._settings.max_tasks_per_job, runner.plan_before_beat
            inputs, result, merged = await runner.run(
                lambda attempt: self._workload.run_single_task(job, attempt, limit, split_into)
            )
            if merged is not None and await conclude_job(self._backends, job, claim, merged):
                return Left.NOTHING, True
            if await self._store.plan(job.id, claim.run, inputs) > 1:
                return Left.TASKS, False
            data = inputs[0]
        if result is None:
            result = await runner.run(lambda attempt: self._workload.run(job, data, attempt))
        packed = await self._backends.results.pack(f"{job.id}/task-{claim.number}-{claim.run}-{claim.attempt}", result)
        unmerged = await self._store.finish(claim, packed)
        log("task.finished")
        return Left.MERGE if unmerged else Left.NOTHING, merged is not None

    async def _stopped(self, reason: Reason, claimed: Claimed, delivery: Delivery) -> None:
        log("task.stopped", reason=reason)
        match reason:
            case Reason.ENDED:
                await self._settle(delivery.ack())
            case Reason.LOST:
                await self._settle(delivery.retry(self._settings.lease_seconds))
            case Reason.DRAINING:
                with suppress(LeaseLostError):
                    await self._store.release(claimed.claim)
                await self._settle(delivery.release())

    async def _failed(self, job: Job, claimed: Claimed, error: Exception, delivery: Delivery) -> None:
        problem, failures = problem_of(error, claimed, self._settings), claimed.failures + 1
        if problem.type not in FINAL:
            log("task.failed", level=logging.WARNING, error=error, failures=failures)
        try:
            if problem.type in FINAL:
                log("task.rejected", reason=error)
                if not await split_again(self._backends, job, problem):
                    await fail_job(self._backends, job, claimed.claim, problem)
                await self._settle(delivery.ack())
            elif problem.type == EXHAUSTED:
                await fail_job(self._backends, job, claimed.claim, problem)
                await self._park(delivery, problem.detail)
            else:
                await self._store.release(claimed.claim, problem)
                await self._settle(delivery.retry(backoff(failures, self._settings)))
        except LeaseLostError:
            await self._stopped(Reason.LOST, claimed, delivery)

    async def _park(self, delivery: Delivery, reason: str, error: Exception | None = None) -> None:
        log("message.parked", level=logging.ERROR, reason=reason, error=error)
        await self._settle(delivery.park(reason))

    async def _settle(self, settling: Coroutine[None, None, None]) -> None:
        with suppress(UnavailableError):  # not settled: the message comes back by itself
            await settling
