"""One attempt: the workload in a thread of its own, and beside it the beats that keep its lease."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from enum import StrEnum
from typing import Any, TypeVar

from jobs.backends import Backends
from jobs.errors import JobNotFoundError, LeaseLostError, UnavailableError
from jobs.model import Claim, Claimed
from jobs.settings import Settings
from jobs.telemetry import log
from worker.attempt import Attempt, AttemptStopped, Texts

T = TypeVar("T")


class Reason(StrEnum):
    """Why an attempt was stopped."""

    ENDED = "ended"  # its job was cancelled, or failed through another task
    LOST = "lost"  # a newer attempt has taken over
    DRAINING = "draining"  # its worker leaves


class StoppedError(Exception):
    """The attempt has stopped before its end, for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Runner:
    """Runs workload code under a claim. Everything that touches the lease is here."""

    def __init__(self, backends: Backends, settings: Settings, claimed: Claimed) -> None:
        self._store = backends.store
        self._settings = settings
        self._claim: Claim = claimed.claim
        self._reason: Reason | None = None
        self._abandoned = asyncio.Event()
        self._unplanned: list[bytes] | None = None
        self._over = False
        loop = asyncio.get_running_loop()
        self._attempt = Attempt(
            number=claimed.claim.attempt,
            checkpoint=claimed.checkpoint,
            texts=Texts(backends.texts, loop),
            save=self._save,
            loop=loop,
        )

    async def run(self, function: Callable[[Attempt], T]) -> T:
        """What the function returns. Raises what it raises, or `StoppedError`; beats go on until then."""
        self._over = False
        beats = asyncio.create_task(self._beats())
        try:
            return await self._in_thread(function)
        finally:
            self._over = True  # a driver may swallow a cancellation: then the beat under way is the last
            beats.cancel()
            with suppress(asyncio.CancelledError):
                await beats

    def plan_before_beat(self, inputs: list[bytes]) -> None:
        """What the job was split into. A short attempt needs no plan; a checkpoint does: the next attempt has its input."""
        self._unplanned = inputs

    def stop(self, reason: Reason) -> None:
        """Ask the workload to leave at its next call into `Attempt`."""
        self._reason = self._reason or reason
        self._attempt.stop()

    def abandon(self) -> None:
        """Stop waiting for a workload that does not leave. Its thread goes on, but without a lease it changes nothing."""
        self._abandoned.set()

    async def _in_thread(self, function: Callable[[Attempt], T]) -> T:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        thread = threading.Thread(
            target=copy_context().run,  # what the workload logs is part of its attempt
            args=(self._call, function, done, asyncio.get_running_loop()),
            name=f"attempt {self._claim.job_id}/{self._claim.number}",
            daemon=True,  # a workload that never returns must not keep the process alive
        )
        thread.start()
        abandoned = asyncio.create_task(self._abandoned.wait())
        ends: set[asyncio.Future[Any]] = {done, abandoned}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        abandoned.cancel()
        if not done.done():
            done.cancel()
            raise StoppedError(self._reason or Reason.DRAINING)
        return done.result()

    def _call(self, function: Callable[[Attempt], T], done: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
        def settle(result: T | None, error: Exception | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)  # type: ignore[arg-type]  # no error: it is a T
            else:
                done.set_exception(error)

        result: T | None = None
        error: Exception | None = None
        try:
            result = function(self._attempt)
        except AttemptStopped:
            error = StoppedError(self._reason or Reason.DRAINING)
        except Exception as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed: the process is leaving without this thread
            loop.call_soon_threadsafe(settle, result, error)

    async def _beats(self) -> None:
        while not self._over and self._reason is not Reason.LOST:
            await asyncio.sleep(self._settings.beat_seconds)
            await self._beat()

    async def _save(self, progress: float, checkpoint: bytes) -> None:
        await self._beat(progress, checkpoint)

    async def _beat(self, progress: float | None = None, checkpoint: bytes | None = None) -> None:
        """Without news, what is stored stays: progress and checkpoint belong together, at first an earlier attempt's."""
        try:
            if self._unplanned is not None:
                await self._store.plan(self._claim.job_id, self._claim.run, self._unplanned)
                self._unplanned = None
            if not await self._store.beat(self._claim, progress, checkpoint):
                self.stop(Reason.ENDED)
        except (LeaseLostError, JobNotFoundError):
            self.stop(Reason.LOST)
        except UnavailableError as error:  # work on: the lease may outlast the outage, and fencing covers the rest
            log("task.beat_missed", reason=error)
