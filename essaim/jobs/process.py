"""The life of a process: it waits for its backends, tunes the garbage collector, and ends with its parent."""

import asyncio
import gc
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, TypeVar

from essaim import telemetry
from essaim.errors import EssaimError, UnavailableError
from essaim.jobs.settings import Settings, load_settings
from essaim.telemetry import log

T = TypeVar("T")
PARENT_FD = "ESSAIM_PARENT_FD"
YOUNG = 10_000  # new objects before a young collection; at Python's default of 700, each request starts one
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0  # the pause doubles until then
TELL_SECONDS = 30.0  # between two log lines about the same backend
Told = Callable[[str, str], None]
VARIABLES = {"queue": "ESSAIM_QUEUE_URL", "store": "ESSAIM_STORE_URL", "texts": "ESSAIM_TEXTS_URL"}


def _log(name: str, reason: str) -> None:
    log("backend.awaited", level=logging.WARNING, backend=name, reason=reason)


class Starting:
    """Backends that are not reached yet: `missing` has a sentence for each. `tried` is set once one has been tried.

    `told` is called with the name of a backend and the reason, at first and then every 30 seconds; by default it logs.
    """

    def __init__(self, told: Told = _log) -> None:
        self._tell = told
        self.missing: dict[str, str] = {}
        self.tried = asyncio.Event()
        self._told: dict[str, float] = {}

    def sentence(self) -> str:
        """The missing backends and what to do about them, in one line without secrets."""
        return "; ".join(f"{reason} (start it, or correct {VARIABLES[name]})" for name, reason in self.missing.items())

    async def reach(self, name: str, seconds: float, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of `attempt`, which is retried for `seconds` while it raises `UnavailableError`.

        After that, raises `UnavailableError` with all that is missing. Any other exception ends the waiting at once.
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


def run_process(
    service: Literal["api", "worker", "split"], instance: str, serve: Callable[[Settings], Coroutine[Any, Any, None]]
) -> int:
    """Run a program to its end, with logging set up. Returns its exit code: 2, and a sentence, if it cannot run."""
    try:
        settings = load_settings()
        telemetry.configure(settings, service, instance)
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(serve(settings))
        finally:
            telemetry.close(settings.drain_seconds)
    except (EssaimError, OSError) as error:
        sys.stderr.write(f"essaim {service}: {error}\n")
        return 2
    return 0


def instance_name() -> str:
    """Tells this process from others in the logs."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # a quarter more requests and messages per second; not available on Windows

        return uvloop.Loop
    except ImportError:
        return None


async def unless(leaving: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of the work; or None if `leaving` is set first, which cancels it."""
    working, told = asyncio.create_task(work), asyncio.create_task(leaving.wait())
    try:
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, told):
            task.cancel()
        await asyncio.wait({working, told})


async def parent_gone() -> None:
    """Return once the inherited pipe named by `ESSAIM_PARENT_FD` is at its end; without one, never.

    The parent holds the other side, which the kernel closes however the parent dies, kill -9 included.
    """
    number = os.environ.get(PARENT_FD)
    if number is None:
        await asyncio.Event().wait()
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(int(number), gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(int(number))


def freeze_gc() -> None:
    """Exclude what exists from garbage collection, and collect new objects less often. Call this once, at the end of start-up.

    Searching for reference cycles took a sixth of the CPU time of a small job.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)
