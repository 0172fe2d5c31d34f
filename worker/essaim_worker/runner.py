"""One attempt: runs the workload in a thread of its own, and extends the lease with a beat every second or so."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from enum import StrEnum
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Any, TypeVar, cast

from essaim.errors import JobNotFoundError, LeaseLostError, UnavailableError
from essaim.jobs.backends import Backends
from essaim.jobs.model import Claim, Claimed
from essaim.jobs.settings import Settings
from essaim.telemetry import log
from essaim_worker.attempt import Attempt, AttemptStopped, Texts

T = TypeVar("T")
Outcome = tuple[Any, Exception | None]  # as values: a future cannot hold every exception (not StopIteration)


class Reason(StrEnum):
    """Why an attempt was stopped."""

    ENDED = "ended"  # its job was cancelled, or failed through another task
    LOST = "lost"  # a newer attempt has taken over
    DRAINING = "draining"  # its worker is leaving


class StoppedError(Exception):
    """The attempt was stopped before its end, for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Threads:
    """One for each running attempt, reused by the next: starting a thread costs more than a small task.

    They are daemons: a workload that never returns must not keep the process alive.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = Semaphore(0)

    def run(self, call: Callable[[], None]) -> None:
        """Start the call and return. It must not raise."""
        self._calls.put(call)
        if not self._idle.acquire(blocking=False):
            Thread(target=self._serve, name="attempts", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._calls.get()()
            self._idle.release()


class Runner:
    """Runs workload code under a claim, and keeps the lease."""

    def __init__(self, backends: Backends, settings: Settings, claimed: Claimed, threads: Threads) -> None:
        self._store = backends.store
        self._settings = settings
        self._threads = threads
        self._claim: Claim = claimed.claim
        self._reason: Reason | None = None
        self._abandoned = False
        self._outcome: asyncio.Future[Outcome] | None = None
        self._deferred_plan: list[bytes] | None = None
        self._over = False
        loop, stop = asyncio.get_running_loop(), Event()
        self._attempt = Attempt(
            number=claimed.claim.attempt,
            checkpoint=claimed.checkpoint,
            texts=Texts(backends.texts, loop, stop),
            save=self._beat,
            loop=loop,
            stop=stop,
        )

    async def run(self, function: Callable[[Attempt], T]) -> T:
        """Call the function, with beats until it returns. Raises what it raises, or `StoppedError`."""
        self._over = False
        beats = asyncio.create_task(self._beats())
        try:
            return await self._in_thread(function)
        finally:
            self._over = True  # a driver may swallow the cancellation: then the current beat is the last
            beats.cancel()
            with suppress(asyncio.CancelledError):
                await beats

    def defer_plan(self, inputs: list[bytes]) -> None:
        """Store this plan with the first beat rather than now: an attempt shorter than a beat saves the write, and no
        checkpoint is stored before its plan."""
        self._deferred_plan = inputs

    def stop(self, reason: Reason) -> None:
        """Ask the workload to leave at its next call into `Attempt`."""
        self._reason = self._reason or reason
        self._attempt.stop()

    def abandon(self) -> None:
        """Stop waiting for a workload that does not leave. Its thread goes on, but without a lease it cannot write."""
        self._abandoned = True
        if self._outcome is not None:
            _resolve(self._outcome, (None, self._stopped()))

    async def _in_thread(self, function: Callable[[Attempt], T]) -> T:
        loop, context = asyncio.get_running_loop(), copy_context()  # so log lines of the workload have its job and task
        self._outcome = outcome = loop.create_future()
        self._threads.run(lambda: context.run(self._call, function, outcome, loop))
        if self._abandoned:
            self.abandon()
        result, error = await outcome
        if error is not None:
            raise error
        return cast(T, result)

    def _call(
        self, function: Callable[[Attempt], T], outcome: "asyncio.Future[Outcome]", loop: asyncio.AbstractEventLoop
    ) -> None:
        found: Outcome
        try:
            found = function(self._attempt), None
        except AttemptStopped:
            found = None, self._stopped()
        except Exception as error:
            found = None, error
        except BaseException as error:  # such as `SystemExit`: it ends the attempt, not the worker
            found = None, RuntimeError(f"the workload raised {error!r}")
        with suppress(RuntimeError):  # the loop is closed: the process leaves without this thread
            loop.call_soon_threadsafe(_resolve, outcome, found)

    def _stopped(self) -> StoppedError:
        return StoppedError(self._reason or Reason.DRAINING)

    async def _beats(self) -> None:
        while not self._over and self._reason is not Reason.LOST:
            await asyncio.sleep(self._settings.beat_seconds)
            await self._beat()

    async def _beat(self, progress: float | None = None, checkpoint: bytes | None = None) -> None:
        """Extend the lease. Without new values, the stored progress and checkpoint stay, perhaps from an earlier attempt."""
        try:
            if self._deferred_plan is not None:
                await self._store.plan(self._claim.job_id, self._claim.run, self._deferred_plan)
                self._deferred_plan = None
            if not await self._store.beat(self._claim, progress, checkpoint):
                self.stop(Reason.ENDED)
        except (LeaseLostError, JobNotFoundError):
            self.stop(Reason.LOST)
        except UnavailableError as error:  # go on: the lease may outlast the outage, and fencing covers the rest
            log("task.beat_missed", reason=error)


def _resolve(outcome: asyncio.Future[Outcome], found: Outcome) -> None:
    """The first outcome counts: the attempt may have been abandoned already."""
    if not outcome.done():
        outcome.set_result(found)
