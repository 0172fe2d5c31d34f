"""What a worker does with one delivery: read the message, have its work done, settle the delivery.

Every way out settles it once: `ack` when nothing is left to do, `retry` to come back later, `release` when this worker
leaves, `park` when a person must look. A crash settles nothing, and the message comes back.
"""

import logging
from contextlib import suppress

from cloudevents.core.v1.event import CloudEvent

from essaim.errors import BackendError, JobNotFoundError, MessageUnreadableError, UnavailableError
from essaim.jobs.backends import Backends
from essaim.jobs.events import JobEnded, JobRetried, JobSubmitted, TaskReady, from_event, parent_span
from essaim.jobs.model import Job
from essaim.jobs.ports import Delivery
from essaim.jobs.settings import Settings
from essaim.telemetry import bound, log, span
from essaim_worker.callbacks import CallbackSender
from essaim_worker.execution import Executor
from essaim_worker.settlement import Settlement, ack, report_and_park, retry


class Handler:
    """Handles deliveries, several at once."""

    def __init__(self, backends: Backends, settings: Settings, worker: str, executor: Executor) -> None:
        self._store = backends.store
        self._settings = settings
        self._worker = worker
        self._executor = executor
        self._callbacks = CallbackSender(backends, settings)

    async def handle(self, delivery: Delivery) -> None:
        """Do what the message asks and settle the delivery. Raises nothing."""
        event = delivery.event
        fields = {"job": event.get_subject()} if event.get_subject() else {}
        with bound(**fields), span("handle", kind="consumer", parent=parent_span(event), message=event.get_type()):
            settlement = await self._dispatch_safely(event)
            with suppress(UnavailableError):  # not settled: the message comes back
                await settlement(delivery)

    async def _dispatch_safely(self, event: CloudEvent) -> Settlement:
        try:
            return await self._dispatch(event)
        except JobNotFoundError as error:  # purged since, or retried by another release: nobody here waits for it
            log("message.obsolete", reason=error)
            return ack()
        except BackendError as error:
            log("message.delayed", level=logging.WARNING, reason=error)
            return retry(self._settings.retry_seconds)
        except MessageUnreadableError as error:
            return report_and_park(str(error))
        except Exception as error:  # a bug of ours: keep the message, go on with the others
            return report_and_park(f"unexpected {error!r}", error)

    async def _dispatch(self, event: CloudEvent) -> Settlement:
        match from_event(event):
            case JobSubmitted(job):
                if claimed := await self._store.begin(job, self._worker):
                    return await self._executor.run_attempt(job, claimed)
                return await self._executor.run_job(self._own(await self._store.submit(job)))
            case JobRetried(job_id, run, taken_from, anew):
                job = await self._store.revive(job_id, run, self._settings.release, taken_from, anew=anew)
                return await self._executor.run_job(self._own(job))
            case TaskReady(job_id, number):
                return await self._executor.claim_and_run(self._own(await self._store.get(job_id)), number)
            case JobEnded() as ended:
                return await self._callbacks.send(ended)

    def _own(self, job: Job) -> Job:
        """The job. Raises `JobNotFoundError` for one of another release, which has a message of its own for it."""
        if job.release != self._settings.release:
            raise JobNotFoundError(f"job {job.id} is of release {job.release} now, in its run {job.run}")
        return job
