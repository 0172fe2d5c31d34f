"""The supervisor with real processes and real signals; only the worker is a stand-in that says what happens to it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from essaim.autoscaler.manifest import RatePolicy
from essaim.autoscaler.policy import ScalingRules, default_path, load
from essaim.jobs.model import Depth
from essaim.supervisor.replica import WorkerState
from essaim.supervisor.supervisor import Supervisor

DEADLINE = 120.0
"""Only so that a broken supervisor cannot hang the tests."""


AT_ONCE = (RatePolicy.model_validate({"type": "Pods", "value": 100, "periodSeconds": 1}),)
POLICY = replace(load(default_path()), cooldown_period=10, scale_down=ScalingRules(0, "Max", AT_ONCE))


# It leaves when asked or when its parent is gone; `stubborn` outlasts a SIGTERM, `slow` until the file `go` is there.
WORKER = """
import os, select, signal, sys, time
folder, manner = sys.argv[1:]
me = os.environ["ESSAIM_WORKER_ID"] + "." + str(os.getpid())
def note(what):
    open(os.path.join(folder, what + "." + me), "w").write(str(time.monotonic()))
    os.write(1, (what + "\\n").encode())
def leave(*_):
    while manner == "slow" and not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.01)
    note("drained")
    os._exit(0)
woken, wake = os.pipe()
os.set_blocking(wake, False)
signal.set_wakeup_fd(wake)  # or a signal just before `select` would be noticed only after it
signal.signal(signal.SIGTERM, signal.SIG_IGN if manner == "stubborn" else leave)
note("started")
if manner == "crashing":
    sys.exit(3)
parent = int(os.environ["ESSAIM_PARENT_FD"])
while parent not in select.select([parent, woken], [], [])[0]:
    os.read(woken, 100)
note("orphaned")
leave()
"""


class Queue:
    """The numbers that the supervisor is told."""

    def __init__(self, ready: int = 0, in_flight: int = 0) -> None:
        self.now: Depth | Exception = Depth(ready, in_flight)
        self.asked: list[float] = []

    async def depth(self) -> Depth:
        self.asked.append(time.monotonic())
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


class Stage:
    """Starts supervisors over one folder in which the workers leave their notes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gone: set[int] = set()
        (folder / "worker.py").write_text(WORKER)

    def command(self, manner: str) -> list[str]:
        return [sys.executable, "-IS", str(self.folder / "worker.py"), str(self.folder), manner]

    def supervisor(self, queue: Queue, manner: str = "good", **options: Any) -> Supervisor:
        options = {"policy": POLICY, "speed": 30.0, "command": self.command(manner), **options}
        return Supervisor(depth=queue.depth, output=asyncio.subprocess.DEVNULL, **options)

    def notes(self, what: str) -> list[Path]:
        return sorted(self.folder.glob(f"{what}.*"), key=lambda note: note.stat().st_mtime_ns)

    def pids(self) -> list[int]:
        return [int(note.suffix[1:]) for note in self.notes("started")]

    def ids(self, what: str) -> set[str]:
        return {note.suffixes[0][1:] for note in self.notes(what)}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    left = [pid for pid in stage.pids() if exists(pid) and pid not in stage.gone]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes were left behind"


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.02)


def in_state(supervisor: Supervisor, state: WorkerState) -> list[str]:
    return [worker.id for worker in supervisor.snapshot().workers if worker.state is state]
