"""What a workload sees of the house while it runs: its checkpoint, the texts, and when to stop.

A workload runs in a thread of its own, in plain blocking Python. Each call here crosses to the event loop and back.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel

from essaim.jobs.model import Text
from essaim.jobs.ports import TextStore

T = TypeVar("T")
Save = Callable[[float, bytes], Coroutine[Any, Any, None]]


class AttemptStopped(BaseException):
    """Raised inside a workload that must stop now: cancelled, fenced off, or its worker leaves.

    No `Exception`, so that a workload's own `except Exception` does not swallow it.
    """


class Texts:
    """The text store for blocking code. Errors are those of `essaim.jobs.ports.TextStore`.

    Each call raises `AttemptStopped` once `stop` is set: a workload may make thousands of them and no other.
    """

    def __init__(self, store: TextStore, loop: asyncio.AbstractEventLoop, stop: threading.Event | None = None) -> None:
        self._store = store
        self._loop = loop
        self._stop = stop or threading.Event()

    def list(self, pattern: str) -> Iterator[Text]:
        """All texts that match the glob, by name."""
        after = ""
        while page := self._wait(self._store.list(pattern, after=after)):
            yield from page
            after = page[-1].name

    def stat(self, name: str) -> Text:
        """Size in bytes and etag of one text."""
        return self._wait(self._store.stat(name))

    def read(self, name: str, start: int, end: int, *, etag: str | None = None) -> bytes:
        """Bytes `start` to `end` (exclusive), fewer at the text's end."""
        return self._wait(self._store.read(name, start, end, etag=etag))

    def chunks(self, name: str, start: int, end: int, *, etag: str, size: int) -> Iterator[tuple[int, bytes]]:
        """Each `size` bytes from `start` to `end`, with their offset; the next is read while you use the last."""

        def request(at: int) -> Any:
            read = self._store.read(name, at, min(at + size, end), etag=etag)
            return asyncio.run_coroutine_threadsafe(read, self._loop)

        ahead = request(start) if start < end else None
        try:
            while ahead is not None:
                chunk, ahead = ahead.result(), None
                self._check()
                if start + size < end:
                    ahead = request(start + size)
                yield start, chunk
                start += size
        finally:
            if ahead is not None:
                ahead.cancel()

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        found = asyncio.run_coroutine_threadsafe(call, self._loop).result()
        self._check()
        return found

    def _check(self) -> None:
        if self._stop.is_set():
            raise AttemptStopped


class Attempt:
    """One run of a task, as its workload sees it. `number` is 1 for the first; `checkpoint` is what an earlier one saved."""

    def __init__(
        self,
        *,
        number: int,
        checkpoint: bytes | None,
        texts: Texts,
        save: Save,
        loop: asyncio.AbstractEventLoop,
        stop: threading.Event | None = None,
    ) -> None:
        self.number = number
        self.checkpoint = checkpoint
        self.texts = texts
        self._save = save
        self._loop = loop
        self._stop = stop or threading.Event()

    def save(self, progress: float, checkpoint: BaseModel | bytes) -> None:
        """Store how far it is (0 to 1) and what the next attempt needs to go on from here, before anything else is done.

        What is done after the last save is done again if this worker dies. Raises `AttemptStopped` when it is time to go.
        """
        data = checkpoint if isinstance(checkpoint, bytes) else checkpoint.model_dump_json().encode()
        asyncio.run_coroutine_threadsafe(self._save(progress, data), self._loop).result()
        self.check()

    def check(self) -> None:
        """Raise `AttemptStopped` when it is time to go. Costs nothing: call it inside long loops."""
        if self._stop.is_set():
            raise AttemptStopped

    def sleep(self, seconds: float) -> None:
        """Sleep, and wake up with `AttemptStopped` when it is time to go."""
        self._stop.wait(seconds)
        self.check()

    def stop(self) -> None:
        """Called by the worker: the workload leaves at its next call here."""
        self._stop.set()
