"""How a process starts whose backends may not be there yet: it tries again for a while, and says what it waits for."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from essaim.errors import UnavailableError
from essaim.telemetry import log

T = TypeVar("T")
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0  # it doubles until then: who waits for a minute need not knock a hundred times
TELL_SECONDS = 30.0  # between two log lines about the same backend
Told = Callable[[str, str], None]
VARIABLES = {"queue": "ESSAIM_QUEUE_URL", "store": "ESSAIM_STORE_URL", "texts": "ESSAIM_TEXTS_URL"}


def _log(name: str, reason: str) -> None:
    log("backend.awaited", level=logging.WARNING, backend=name, reason=reason)


class Starting:
    """What is not reached yet: `missing` has a sentence for each backend. `tried` is set once that is known.

    `told` is called with a backend's name and the reason once, and then now and again; by default it is a log line.
    """

    def __init__(self, told: Told = _log) -> None:
        self._tell = told
        self.missing: dict[str, str] = {}
        self.tried = asyncio.Event()
        self._told: dict[str, float] = {}

    def sentence(self) -> str:
        """What is missing and what to do about it, in one line without secrets."""
        return "; ".join(f"{reason} (start it, or correct {VARIABLES[name]})" for name, reason in self.missing.items())

    async def reach(self, name: str, seconds: float, attempt: Callable[[], Awaitable[T]]) -> T:
        """What the attempt returns, tried again for so many seconds while it raises `UnavailableError`.

        Then that is raised, with all that is missing; whatever else it raises ends the waiting at once.
        """
        deadline, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                found = await attempt()
            except UnavailableError as error:
                self._missed(name, str(error))
                left = deadline - time.monotonic()
                if left <= 0:
                    waited = f"waited {seconds:g} s (ESSAIM_START_SECONDS), in vain: " if seconds else ""
                    raise UnavailableError(waited + self.sentence()) from error
            else:
                self._reached(name)
                return found
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _missed(self, name: str, reason: str) -> None:
        self.missing[name] = reason
        self.tried.set()
        now = time.monotonic()
        if now - self._told.get(name, -TELL_SECONDS) >= TELL_SECONDS:
            self._told[name] = now
            self._tell(name, reason)

    def _reached(self, name: str) -> None:
        if self.missing.pop(name, None) is not None:
            log("backend.reached", backend=name)


async def unless(leaving: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What comes of the work; or None, when it is time to leave before: then it is cancelled."""
    working, told = asyncio.create_task(work), asyncio.create_task(leaving.wait())
    try:
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, told):
            task.cancel()
        await asyncio.wait({working, told})
