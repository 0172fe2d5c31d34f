"""One replica on this machine: a worker process that is restarted when it exits unexpectedly."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import IO

from essaim.jobs.process import PARENT_FD
from essaim.telemetry import log

WORKER_ID = "ESSAIM_WORKER_ID"
NO_PROCESS = 127


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a worker. `grace` in real seconds from SIGTERM to SIGKILL; `speed` in simulated seconds per real one."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    output: int | IO[bytes] | None
    grace: float
    speed: float


class WorkerState(StrEnum):
    """`crashed`: it exited unexpectedly, and waits for its restart."""

    STARTING = "starting"
    RUNNING = "running"
    CRASHED = "crashed"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as the supervisor sees it. `last_exit`: an exit code, or minus the signal; 127 if it could not be started."""

    id: str
    state: WorkerState
    pid: int | None
    restarts: int
    last_exit: int | None


class Backoff:
    """The pause before a process that cannot start is tried again: at once, then 10 s doubling to 300 s, as the kubelet does.

    Unlike there, ten seconds of life forget it: whatever ended such a process was its task, which waits for its own lease,
    and the tasks of others need not wait with it.
    """

    FIRST, LONGEST, FORGET = 10.0, 300.0, 10.0

    def __init__(self) -> None:
        self._delay = 0.0
        self._restarted = 0.0

    def next(self, ended: float) -> float:
        """Seconds to wait before the next start."""
        if self._delay == 0 or ended - self._restarted > self.FORGET:
            delay, self._delay = 0.0, self.FIRST
        else:
            delay, self._delay = self._delay, min(self._delay * 2, self.LONGEST)
        self._restarted = ended + delay
        return delay


class Replica:
    """Keeps one worker process alive until `stop()`. The process dies with this one, however this one dies.

    It inherits the reading end of a pipe, its number in `ESSAIM_PARENT_FD`: at its end the parent is gone, and the
    worker must leave. Nothing is ever written to it. Its own session keeps the terminal's Ctrl-C from it.
    """

    def __init__(self, worker_id: str, launch: Launch) -> None:
        self.id = worker_id
        self._launch = launch
        self._stop = asyncio.Event()
        self._state = WorkerState.STARTING
        self._pid: int | None = None
        self._restarts = 0
        self._last_exit: int | None = None

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    @property
    def running(self) -> bool:
        return self._state is WorkerState.RUNNING and not self.stopping

    def status(self) -> WorkerStatus:
        state = WorkerState.STOPPING if self.stopping else self._state
        return WorkerStatus(self.id, state, self._pid, self._restarts, self._last_exit)

    def stop(self) -> None:
        """Stop the process: SIGTERM now, SIGKILL after the grace period. `run` returns when it has exited."""
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped. If cancelled, the process is killed at once."""
        backoff, loop, speed = Backoff(), asyncio.get_running_loop(), self._launch.speed
        while True:
            self._state = WorkerState.STARTING
            self._last_exit = await self._live()
            if self.stopping:
                return
            delay = backoff.next(loop.time() * speed)
            self._state = WorkerState.CRASHED
            log("worker.crashed", worker=self.id, exit=self._last_exit, restart_in=round(delay / speed, 1))
            with suppress(TimeoutError):
                async with asyncio.timeout(delay / speed):
                    await self._stop.wait()
            if self.stopping:
                return
            self._restarts += 1

    async def _live(self) -> int:
        """Run one process to its end. Returns its exit code."""
        theirs, ours = os.pipe()
        try:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._launch.command,
                    stdin=DEVNULL,
                    stdout=self._launch.output,
                    stderr=self._launch.output,
                    env={**self._launch.env, WORKER_ID: self.id, PARENT_FD: str(theirs)},
                    pass_fds=[theirs],
                    start_new_session=True,
                )
            except OSError as error:
                log("worker.not_started", worker=self.id, reason=error)
                return NO_PROCESS
            finally:
                os.close(theirs)
            self._state, self._pid = WorkerState.RUNNING, process.pid
            return await self._until_end(process)
        finally:
            self._pid = None
            os.close(ours)

    async def _until_end(self, process: Process) -> int:
        ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                await asyncio.wait({ended}, timeout=self._launch.grace)
        finally:
            stopped.cancel()
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # and what it has started itself
            await asyncio.wait({ended})
        return ended.result()
