"""What a workload can use while it runs: its checkpoint, the texts, and the request to stop.

A workload is plain blocking Python in a thread of its own. Each call here runs on the event loop and waits for it.
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
    """Raised inside a workload that must stop: its job was cancelled, its lease lost, or its worker is leaving.

    Not an `Exception`, so that a workload's own `except Exception` does not swallow it.
    """


class Texts:
    """The text store for blocking code. Raises what `essaim.jobs.ports.TextStore` raises.

    Each call also raises `AttemptStopped` once `stop` is set: a workload may make thousands of these and no other call.
    """

    def __init__(self, store: TextStore, loop: asyncio.AbstractEventLoop, stop: threading.Event | None = None) -> None:
        self._store = store
        self._loop = loop
        self._stop = stop or threading.Event()

    def list(self, pattern: str) -> Iterator[Text]:
        """All texts that match the glob, sorted by name."""
        after = ""
        while page := self._wait(self._store.list(pattern, after=after)):
            yield from page
            after = page[-1].name

    def stat(self, name: str) -> Text:
        """Size in bytes and etag of one text."""
        return self._wait(self._store.stat(name))

    def read(self, name: str, start: int, end: int, *, etag: str | None = None) -> bytes:
        """Bytes `start` to `end` (exclusive), fewer at the end of the text."""
        return self._wait(self._store.read(name, start, end, etag=etag))

    def chunks(self, name: str, start: int, end: int, *, etag: str, size: int) -> Iterator[tuple[int, bytes]]:
        """Chunks of `size` bytes from `start` to `end`, with their offsets. Reads one chunk ahead."""

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
    """One run of a task. `number` is 1 for the first; `checkpoint` is what an earlier attempt saved."""

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
        """Store the progress (0 to 1) and what the next attempt needs to resume from here. Returns once both are stored.

        Work done since the last save is repeated if this worker dies. Raises `AttemptStopped` when it is time to stop.
        """
        data = checkpoint if isinstance(checkpoint, bytes) else checkpoint.model_dump_json().encode()
        asyncio.run_coroutine_threadsafe(self._save(progress, data), self._loop).result()
        self.check()

    def check(self) -> None:
        """Raise `AttemptStopped` when it is time to stop. Costs nothing: call it inside long loops."""
        if self._stop.is_set():
            raise AttemptStopped

    def sleep(self, seconds: float) -> None:
        """Sleep. Raises `AttemptStopped` as soon as it is time to stop."""
        self._stop.wait(seconds)
        self.check()

    def stop(self) -> None:
        """For the worker: stop the workload at its next call to this object."""
        self._stop.set()
