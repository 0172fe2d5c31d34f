"""What Essaim asks of a queue, a job store and a text store. The docstrings are the contract; `tests/contract` proves
every adapter against them. All methods raise `UnavailableError` while the backend cannot be reached."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from cloudevents.core.v1.event import CloudEvent

from essaim.jobs.model import (
    Busy,
    Claim,
    Claimed,
    DeadLetter,
    Depth,
    Ended,
    Job,
    Page,
    Problem,
    State,
    Task,
    Text,
    Worker,
)


class Delivery(Protocol):
    """A message handed to one worker until settled: by exactly one of the four methods, once.

    One that is never settled (its process died) is delivered again. Settling one that was meanwhile
    delivered to somebody else does nothing: the lease in the store decides whose work counts. A message that the
    broker has taken back, and that comes again to the process that still works on it, is the same delivery.
    """

    @property
    def event(self) -> CloudEvent: ...

    async def ack(self) -> None:
        """Done: the message is gone."""

    async def release(self) -> None:
        """Give it back now, at no charge: the next consumer gets it."""

    async def retry(self, delay: float) -> None:
        """Give it back, to be delivered again in about `delay` seconds."""

    async def park(self, reason: str) -> None:
        """Put it among the dead letters with the reason."""


class JobQueue(Protocol):
    """Messages of one release, delivered at least once."""

    async def publish(self, events: Sequence[CloudEvent], *, delay: float = 0.0) -> None:
        """Return once the queue has taken responsibility for all of them.

        Raises `QueueFullError` at the bound, and then none or some may have been taken. With a delay, in seconds, they
        come out that much later, and are taken beyond the bound too: such messages end what the queue is full of.
        """

    def notify(self, event: CloudEvent) -> None:
        """Tell whoever listens, if anybody can: best effort, later, in order. Never raises and never waits."""

    def deliveries(self, prefetch: int) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Consume, at most `prefetch` unsettled at a time, oldest first.

        A message that is no CloudEvent never comes out: it is parked. Leaving the context stops new deliveries
        and gives back what was not handed out; deliveries already handed out can still be settled.
        """

    async def depth(self) -> Depth:
        """How much waits and how much is being worked on, now. Delayed messages and dead letters count as neither."""

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLetter]:
        """The parked messages, oldest first."""

    async def replay(self, ids: Collection[str] | None, revise: Callable[[CloudEvent], CloudEvent]) -> int:
        """Publish dead letters again (None: all), each as `revise` returns it, and take them off the list.

        A message that cannot be read is published as it is. Returns how many. A crash in between may publish one twice.
        """

    async def purge(self, before: datetime) -> int:
        """Delete the messages that were parked before then. Returns how many."""


class JobStore(Protocol):
    """The jobs and tasks. Every write is a compare-and-set on state and attempt, so a late or repeated one changes nothing."""

    async def submit(self, job: Job) -> Job:
        """Insert the job if its id is absent. Returns what is stored: the given job, or the earlier one."""

    async def begin(self, job: Job, worker: str) -> Claimed | None:
        """Claim task 0 of a job that nobody has touched, inserted if absent. None: `submit` and `claim` tell what it is."""

    async def conclude(self, claim: Claim, result: bytes) -> bool:
        """End a job and its only task, which `begin` has claimed, at once: both have succeeded.

        The same answer when the same attempt says it again. False: `plan`, `finish` and `complete` tell what can be done.
        """

    async def get(self, job_id: str) -> Job:
        """Raises `JobNotFoundError`."""

    async def list(
        self,
        *,
        states: Collection[State] = (),
        release: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Jobs newest first, without their results. Raises `CursorInvalidError`."""

    async def plan(self, job_id: str, run: int, inputs: Sequence[bytes]) -> int:
        """Store the inputs of the job's tasks, unless it is planned already. Returns how many tasks the job has. Raises
        `LeaseLostError` when the job is in another run."""

    async def tasks(
        self, job_id: str, *, states: Collection[State] = (), after: int = -1, limit: int = 100
    ) -> Sequence[Task]:
        """Tasks by number, from the first one over `after`. Raises `JobNotFoundError`."""

    async def claim(self, job_id: str, number: int, worker: str) -> Claimed | Busy | Ended:
        """Take the task for one attempt, if it has not ended and no live lease is on it. Its job is `running` then.

        A lease that ends later than two lease times from now has run out: its clock was set back since.

        Claiming task 0 of a job that is not planned gives the right to split it. Claiming any task of a job whose tasks
        have all succeeded, and that nobody has completed, gives the right to merge it: a claim with the number `MERGE`,
        with a lease of its own. Raises `JobNotFoundError`, also for a number that was not planned.
        """

    async def beat(self, claim: Claim, progress: float | None = None, checkpoint: bytes | None = None) -> bool:
        """Extend the lease, and save what is given. False: the job has ended, stop. Raises `LeaseLostError`."""

    async def release(self, claim: Claim, problem: Problem | None = None) -> None:
        """End the attempt, so that the next can start at once. With a problem it counts as a failure.

        Raises `LeaseLostError`.
        """

    async def finish(self, claim: Claim, outcome: bytes | Problem) -> bool:
        """End the task: with a result (JSON) it has succeeded, with a problem it and its job have failed.

        Returns whether every task of the job has now succeeded, so that it can be merged; the same answer when the same
        attempt says it again. Raises `LeaseLostError`.
        """

    def results(self, job_id: str) -> AsyncIterator[bytes]:
        """The results of the job's tasks, by number. Raises `LeaseLostError` once the job has succeeded: they are merged."""

    async def complete(self, claim: Claim, outcome: bytes | Problem) -> bool:
        """End the job that is claimed for merging: with a result (JSON) it has succeeded, with a problem it has failed.

        False: the job has ended already, and nothing changes. Raises `LeaseLostError`.
        """

    async def cancel(self, job_id: str) -> Job:
        """Cancel the job unless it has ended. Returns it as it is now. Raises `JobNotFoundError`."""

    async def revive(
        self, job_id: str, run: int, release: str, taken_from: str | None = None, *, anew: bool = False
    ) -> Job:
        """Queue a job again, as its run `run` and in this release, if it is in the run before and has failed, or is open in
        the release `taken_from`. Returns it as it is now. Raises `JobNotFoundError`. Attempts of the run before are fenced off.
        In the release that it had, its succeeded tasks stay, the others start with their checkpoints and no failures;
        in another release, or with `anew`, it is not split yet.
        """

    async def counts(self) -> dict[str, dict[State, int]]:
        """Jobs by release and state; states without jobs may be absent."""

    async def report(self, worker: Worker, *, gone: bool = False) -> None:
        """Say that a worker lives and what it does; with `gone`, that it has left. To be repeated every few seconds."""

    async def workers(self) -> Sequence[Worker]:
        """The workers that have reported within the last lease time, oldest first."""

    async def purge(self, before: datetime, limit: int = 1000) -> Sequence[str]:
        """Delete up to `limit` jobs that ended before then. Returns their ids."""


class TextStore(Protocol):
    """Named files, shared by all. A name is a relative path of 1 to 512 bytes in UTF-8, without backslash, `*`, `?` or control
    characters. Its parts have 1 to 255 bytes and start with no dot; the last is not like `x#1` and ends in no drive
    letter (`C:`). Methods raise `TextNameError` for any other, and `put` where a store cannot have `a/b` beside `a`."""

    async def put(self, name: str, chunks: AsyncIterable[bytes], *, limit: int, overwrite: bool = True) -> Text:
        """Store a stream, whole or not at all; memory stays flat.

        Raises `TextTooLargeError` past `limit` bytes, `TextExistsError` without `overwrite`.
        """

    def open(
        self, name: str, start: int = 0, end: int | None = None, *, etag: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Stream bytes `start` to `end` (exclusive; None: to the last), in pieces of a few MiB at most, all of one version:
        a text that is replaced meanwhile ends the stream with `TextChangedError`, a deleted one with `TextNotFoundError`.

        Raises on entry `TextNotFoundError`, `RangeInvalidError` (start past the last byte, but 0 is always right),
        and with an etag `TextChangedError` if the text is not that version.
        """

    async def read(self, name: str, start: int, end: int, *, etag: str | None = None) -> bytes:
        """Bytes `start` to `end` (exclusive; cut at the text's end) at once. Raises as `open`."""

    async def stat(self, name: str) -> Text:
        """Raises `TextNotFoundError`."""

    async def list(self, pattern: str = "*", *, after: str = "", limit: int = 1000) -> Sequence[Text]:
        """Texts whose name matches the glob, by name (in the order of code points), from the first after `after`.

        `*` and `?` cross no `/`, `**` does, and `**/` may also stand for no folder. Every other character is itself.
        """

    async def delete(self, name: str) -> None:
        """Raises `TextNotFoundError`."""
