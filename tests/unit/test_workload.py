"""The word search as its worker calls it: on a real text store, through real attempts."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from jobs.adapters.texts import ObjectTexts, open_texts
from jobs.errors import JobError, TooManyTasksError
from jobs.model import Text
from jobs.payload import MIB, Position, Request, Result, TaskInput, TaskResult, WordMatches
from worker.attempt import Attempt, AttemptStopped, Texts
from worker.workload import Checkpoint, merge, run, split

T = TypeVar("T")
CHUNK = 8 * MIB


class Saved(NamedTuple):
    """The checkpoints of an attempt, with its progress at each."""

    progress: list[float]
    checkpoints: list[bytes]


class Ledger(ObjectTexts):
    """A text store that writes down what is read."""

    reads: list[tuple[int, int]]

    async def read(self, name: str, start: int, end: int, *, etag: str | None = None) -> bytes:
        data = await super().read(name, start, end, etag=etag)
        self.reads.append((start, start + len(data)))
        return data

    @property
    def bytes_read(self) -> int:
        return sum(end - start for start, end in self.reads)


class House:
    """A text store in a folder, and the event loop that its calls cross to."""

    def __init__(self, store: ObjectTexts, loop: asyncio.AbstractEventLoop) -> None:
        self.store = Ledger(store._store, store._folder)
        self.store.reads = []
        self.loop = loop
        self.texts = Texts(self.store, loop)

    def wait(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self.loop).result()

    def put(self, name: str, data: bytes | str) -> Text:
        return self.wait(self.store.put(name, _chunks(data if isinstance(data, bytes) else data.encode()), limit=1 << 40))

    def attempt(
        self,
        request: Request,
        task: TaskInput,
        *,
        checkpoint: bytes | None = None,
        on_save: Callable[[Attempt], Coroutine[Any, Any, object]] | None = None,
    ) -> tuple[TaskResult | None, Saved]:
        """Run one attempt. No result: it was stopped."""
        saved = Saved([], [])

        async def save(progress: float, checkpoint: bytes) -> None:
            saved.progress.append(progress)
            saved.checkpoints.append(checkpoint)
            if on_save is not None:
                await on_save(attempt)

        attempt = Attempt(number=1, checkpoint=checkpoint, texts=self.texts, save=save, loop=self.loop)
        try:
            return run(request, task, attempt), saved
        except AttemptStopped:
            return None, saved

    def job(self, request: Request) -> Result:
        """Split, run every task, merge."""

        def results() -> Iterator[TaskResult]:
            for task in split(request, self.texts):
                result, _ = self.attempt(request, task)
                assert result is not None
                yield TaskResult.model_validate_json(result.model_dump_json())

        return merge(request, results())


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _stop(attempt: Attempt) -> None:
    attempt.stop()


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with running_loop() as loop:
        opening = open_texts(tmp_path.as_uri(), "texts")
        store = asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result()
        try:
            yield House(store, loop)
        finally:
            asyncio.run_coroutine_threadsafe(opening.__aexit__(None, None, None), loop).result()
