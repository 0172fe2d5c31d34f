"""The word search as its worker calls it: on a real text store, through real attempts."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from essaim.jobs.adapters.texts.opening import open_texts
from essaim.jobs.model import Text
from essaim.jobs.ports import TextStore
from essaim_words.payload import Request, Result, TaskInput, TaskResult
from essaim_words.workload import merge, run, split
from essaim_worker.attempt import Attempt, AttemptStopped, Texts

T = TypeVar("T")


class Saved(NamedTuple):
    """The checkpoints of an attempt, with its progress at each."""

    progress: list[float]
    checkpoints: list[bytes]


class Ledger:
    """A text store that writes down what is read of another."""

    def __init__(self, store: TextStore) -> None:
        self._store = store
        self.put, self.open, self.stat, self.list, self.delete = (
            store.put,
            store.open,
            store.stat,
            store.list,
            store.delete,
        )
        self.reads: list[tuple[int, int]] = []

    async def read(self, name: str, start: int, end: int, *, etag: str | None = None) -> bytes:
        data = await self._store.read(name, start, end, etag=etag)
        self.reads.append((start, start + len(data)))
        return data

    @property
    def bytes_read(self) -> int:
        return sum(end - start for start, end in self.reads)


class Library:
    """A text store in a folder, and the event loop that its calls cross to."""

    def __init__(self, store: TextStore, loop: asyncio.AbstractEventLoop) -> None:
        self.store = Ledger(store)
        self.loop = loop
        self.texts = Texts(self.store, loop)

    def wait(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self.loop).result()

    def put(self, name: str, data: bytes | str) -> Text:
        return self.wait(
            self.store.put(name, chunks(data if isinstance(data, bytes) else data.encode()), limit=1 << 40)
        )

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


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


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
def library(tmp_path: Path) -> Iterator[Library]:
    with running_loop() as loop:
        opening = open_texts(tmp_path.as_uri(), "texts")
        store = asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result()
        try:
            yield Library(store, loop)
        finally:
            asyncio.run_coroutine_threadsafe(opening.__aexit__(None, None, None), loop).result()
