"""What a client can do with jobs. The order of writes is the guarantee: the message first, then the record.

A crash between the two leaves a message, never an orphan record: the worker inserts the job if it is absent.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from cloudevents.core.v1.event import CloudEvent
from pydantic import BaseModel
from uuid_utils import uuid7

from essaim.errors import (
    DeadLetterNotFoundError,
    IdempotencyConflictError,
    JobNotFoundError,
    JobNotRetryableError,
    MessageUnreadableError,
    ResultNotFoundError,
)
from essaim.jobs import endings
from essaim.jobs.events import JobEnded, JobRetried, JobSubmitted, from_event, state_event, to_event
from essaim.jobs.model import Job, State
from essaim.telemetry import bound, log, since, span, traceparent

if TYPE_CHECKING:  # start-up time
    from essaim.jobs.backends import Backends
    from essaim.jobs.settings import Settings

IDEMPOTENCY_KEYS = UUID("6f2c1e0a-7a64-5d1b-9a3e-0e5f0c7b9d11")


@dataclass(frozen=True)
class JobService:
    """Submit, read, cancel, retry. Errors are those of `essaim.errors`."""

    backends: "Backends"
    settings: "Settings"

    async def submit(
        self, request: BaseModel, owner: str, key: str | None = None, callback: str | None = None
    ) -> tuple[Job, bool]:
        """Take the request on. Returns the job, and whether it is new.

        The same owner and key give the same job, once; with another request or callback `IdempotencyConflictError`.
        Raises `CallbackRefusedError` for a URL that may not be called.
        """
        if callback is not None:
            self.settings.receivers().check(callback)
        job = self._job(request, owner, key, callback)
        if key is not None:
            try:
                return self._same(await self.backends.store.get(job.id), job), False
            except JobNotFoundError:
                pass
        with bound(job=job.id), span("submit", kind="producer"):
            job = replace(job, traceparent=traceparent())
            await self.backends.queue.publish([to_event(JobSubmitted(job), self.settings.release)])
            stored = self._same(await self.backends.store.submit(job), job)
            new = stored.created == job.created  # else the same key came twice at the same time
            if new:
                log("job.submitted", at=job.created)  # a worker may have claimed it meanwhile
                self.backends.queue.notify(state_event(stored))
        return stored, new

    async def get(self, job_id: str) -> Job:
        return await self.backends.store.get(job_id)

    async def result(self, job: Job) -> bytes:
        """The job's result, JSON. Raises `ResultNotFoundError` before it has succeeded."""
        return await self.backends.results.unpack(_packed(job))

    def open_result(self, job: Job) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The same in pieces, for results of any size."""
        return self.backends.results.open(_packed(job))

    async def cancel(self, job_id: str) -> Job:
        """Its running tasks hear of it at their next beat. One that has ended stays as it is."""
        job = await self.backends.store.get(job_id)
        if job.state.ended:
            return job
        await endings.publish_ended(self.backends.queue, job)
        job = await self.backends.store.cancel(job_id)
        if job.state is State.CANCELLED:  # and not ended otherwise in this very moment
            log("job.cancelled", job=job_id, seconds=since(job.queued))
            self.backends.queue.notify(state_event(job))
        return job

    async def retry(self, job_id: str, taken_from: str | None = None) -> Job:
        """Run a failed job again, in this release, whichever it was in; so does its record say from then on.

        In the release that it was in, its succeeded tasks stay, unless an attempt finds that an input has changed: then
        its worker splits it again. Another release starts it anew: plans, checkpoints and results of tasks are only read
        by the release that wrote them. With `taken_from` a job that is still open there is taken over too, begun or not.
        The run number is the fence: messages of the run before, and attempts that still run, find another run and do
        nothing. Raises `JobNotRetryableError` for any other job.
        """
        job, release = await self.backends.store.get(job_id), self.settings.release
        if job.state is not State.FAILED and (job.state.ended or job.release != taken_from):
            there = f"job {job_id} is {job.state} in release {job.release}"
            raise JobNotRetryableError(f"{there}; only a failed job can be retried, or an open one be taken from there")
        with bound(job=job_id), span("retry", kind="producer", link=job.traceparent):
            retried = JobRetried(job_id, job.run + 1, taken_from)
            await self.backends.queue.publish([to_event(retried, release, job.traceparent)])
            log("job.retried", run=retried.run, was=job.release)
            revived = await self.backends.store.revive(job_id, retried.run, release, taken_from)
        self.backends.queue.notify(state_event(revived))
        return revived

    async def replay(self, ids: Collection[str] | None = None) -> int:
        """Revive the jobs behind dead letters (None: all), and tell again what could not be told.

        Returns how many messages went back. Raises `DeadLetterNotFoundError`, and replays none, if an id is unknown.
        """
        letters = await self.backends.queue.dead_letters(limit=self.settings.max_queue_length)
        if unknown := set(ids or ()) - {letter.id for letter in letters}:
            raise DeadLetterNotFoundError(f"no dead letter has the id {min(unknown)!r}, so none was replayed")
        dead = {str(letter.event["subject"]) for letter in letters if letter.event and "subject" in letter.event}
        found = [await self._find(job_id) for job_id in dead]
        jobs = {job.id: job for job in found if job}

        def revise(event: CloudEvent) -> CloudEvent:
            try:
                message = from_event(event)
            except MessageUnreadableError:
                return event
            if isinstance(message, JobEnded):
                return to_event(replace(message, since=datetime.now(UTC)), self.settings.release)
            job_id = message.job.id if isinstance(message, JobSubmitted) else message.job_id
            if (job := jobs.get(job_id)) is None:
                return event
            return to_event(JobRetried(job_id, job.run + 1), self.settings.release, job.traceparent)

        return await self.backends.queue.replay(ids, revise)

    async def purge(self) -> int:
        """Delete jobs, with their results, that ended longer ago than the retention, and as old dead letters.

        Returns how many jobs.
        """
        before = datetime.now(UTC) - timedelta(seconds=self.settings.retention_seconds)
        if letters := await self.backends.queue.purge(before):
            log("messages.purged", count=letters)
        gone = await self.backends.store.purge(before)
        for job_id in gone:
            await self.backends.results.delete(job_id)
        return len(gone)

    async def _find(self, job_id: str) -> Job | None:
        try:
            return await self.backends.store.get(job_id)
        except JobNotFoundError:
            return None

    def _job(self, request: BaseModel, owner: str, key: str | None, callback: str | None) -> Job:
        body = request.model_dump(mode="json", exclude_unset=True)
        asked = body if callback is None else [body, callback]
        return Job(
            id=str(uuid7()) if key is None else str(uuid5(IDEMPOTENCY_KEYS, f"{owner}\n{key}")),
            owner=owner,
            release=self.settings.release,
            request=body,
            fingerprint=hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest(),
            created=datetime.now(UTC),
            callback=callback,
        )

    def _same(self, stored: Job, submitted: Job) -> Job:
        if stored.fingerprint != submitted.fingerprint:
            raise IdempotencyConflictError("this Idempotency-Key was used before, with another request or callback")
        return stored


def _packed(job: Job) -> bytes:
    if job.result is None:
        raise ResultNotFoundError(f"job {job.id} has no result: it is {job.state}")
    return job.result
