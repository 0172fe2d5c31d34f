"""The supervisor with real processes and real signals; only the worker is a stand-in that says what happens to it."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import UnavailableError
from jobs.model import Depth
from scaling.manifest import RatePolicy
from scaling.policy import ScalingRules, default_path, load
from scaling.replica import WorkerState
from scaling.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
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

# A supervisor of its own, to be killed.
SUPERVISOR = """
import asyncio, sys
from jobs.model import Depth
from scaling.policy import default_path, load
from scaling.supervisor import Supervisor
async def depth():
    return Depth(60, 0)
async def main():
    async with Supervisor(load(default_path()), depth, command=sys.argv[1:], speed=30):
        await asyncio.Event().wait()
asyncio.run(main())
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


async def test_workers_come_with_the_queue_and_all_drain_when_it_is_empty(stage: Stage) -> None:
    queue = Queue()
    async with stage.supervisor(queue) as supervisor:
        await until(lambda: len(queue.asked) > 20)
        assert supervisor.snapshot().workers == ()
        queue.now = Depth(ready=60, in_flight=0)
        await until(lambda: len(stage.notes("started")) == 10)
        snapshot = supervisor.snapshot()
        assert (snapshot.desired, snapshot.depth, snapshot.metric, snapshot.speed) == (10, Depth(60, 0), 12, 30)
        assert {worker.pid for worker in snapshot.workers} == set(stage.pids())
        assert "12 wanted" in snapshot.reason
        queue.now = Depth(0, 0)
        await until(lambda: not supervisor.snapshot().workers)
        assert supervisor.snapshot().desired == 0
    assert stage.ids("drained") == stage.ids("started")
    assert len(stage.ids("started")) == 10


async def test_leaving_drains_every_worker(stage: Stage) -> None:
    async with stage.supervisor(Queue(ready=20)):
        await until(lambda: len(stage.notes("started")) == 4)
    assert len(stage.notes("drained")) == 4
    assert not any(exists(pid) for pid in stage.pids())


async def test_an_error_inside_drains_them_too(stage: Stage) -> None:
    async def fail() -> None:
        async with stage.supervisor(Queue(ready=1)):
            await until(lambda: stage.notes("started"))
            raise UnavailableError("something else failed")

    with pytest.raises(UnavailableError):
        await fail()
    assert len(stage.notes("drained")) == 1


async def test_who_does_not_drain_in_time_is_killed(stage: Stage) -> None:
    async with stage.supervisor(Queue(ready=1), manner="stubborn", grace=0.1):
        await until(lambda: stage.notes("started"))
    assert not exists(stage.pids()[0])
    assert not stage.notes("drained")


async def test_a_second_cancellation_does_not_wait_for_the_grace_period(stage: Stage) -> None:
    supervisor = stage.supervisor(Queue(ready=1), manner="stubborn", grace=10 * DEADLINE)

    async def work() -> None:
        async with supervisor:
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await until(lambda: stage.notes("started"))
    task.cancel()
    await until(lambda: in_state(supervisor, WorkerState.STOPPING))
    task.cancel()
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not exists(stage.pids()[0])


async def test_a_killed_worker_is_replaced_at_once_under_its_own_id(stage: Stage) -> None:
    async with stage.supervisor(Queue(ready=1), speed=1.0) as supervisor:
        await until(lambda: stage.notes("started"))
        os.kill(stage.pids()[0], signal.SIGKILL)
        await until(lambda: len(stage.notes("started")) == 2)
        (worker,) = supervisor.snapshot().workers
        assert (worker.pid, worker.state) == (stage.pids()[1], WorkerState.RUNNING)
        assert (worker.last_exit, worker.restarts) == (-signal.SIGKILL, 1)
    assert len(stage.ids("started")) == 1


async def test_a_crash_loop_slows_down(stage: Stage) -> None:
    speed = 100.0
    async with stage.supervisor(Queue(ready=1), manner="crashing", speed=speed) as supervisor:
        await until(lambda: len(stage.notes("started")) == 6)
        await until(lambda: in_state(supervisor, WorkerState.CRASHED))
        (worker,) = supervisor.snapshot().workers
        assert (worker.last_exit, worker.pid) == (3, None)
    starts = [float(note.read_text()) for note in stage.notes("started")]
    gaps = [after - before for before, after in pairwise(starts)]
    assert all(gap >= delay / speed for gap, delay in zip(gaps, (0, 10, 20, 40, 80), strict=False))


async def test_a_command_that_cannot_start_is_a_crash(stage: Stage) -> None:
    async with stage.supervisor(Queue(ready=1), command=[str(stage.folder / "nothing")]) as supervisor:
        await until(lambda: in_state(supervisor, WorkerState.CRASHED))
        (worker,) = supervisor.snapshot().workers
        assert (worker.last_exit, worker.pid) == (127, None)


async def test_the_idle_are_stopped_first(stage: Stage) -> None:
    queue, working = Queue(ready=20), set[str]()

    async def busy() -> Collection[str]:
        return working

    async with stage.supervisor(queue, busy=busy) as supervisor:
        await until(lambda: len(stage.notes("started")) == 4)
        working |= {worker.id for worker in supervisor.snapshot().workers[2:]}  # the youngest would go first otherwise
        queue.now = Depth(0, in_flight=2)
        await until(lambda: len(supervisor.snapshot().workers) == 2)
        assert set(in_state(supervisor, WorkerState.RUNNING)) == working


async def test_when_nobody_knows_who_is_busy_the_youngest_are_stopped(stage: Stage) -> None:
    queue = Queue(ready=20)

    async def busy() -> Collection[str]:
        raise UnavailableError("the store is away")

    async with stage.supervisor(queue, busy=busy) as supervisor:
        await until(lambda: len(stage.notes("started")) == 4)
        oldest = {worker.id for worker in supervisor.snapshot().workers[:2]}
        queue.now = Depth(0, in_flight=2)
        await until(lambda: len(supervisor.snapshot().workers) == 2)
        assert set(in_state(supervisor, WorkerState.RUNNING)) == oldest


async def test_a_new_worker_starts_beside_one_that_still_drains(stage: Stage) -> None:
    queue = Queue(ready=1)
    async with stage.supervisor(queue, manner="slow") as supervisor:
        await until(lambda: stage.notes("started"))
        queue.now = Depth(0, 0)
        await until(lambda: in_state(supervisor, WorkerState.STOPPING))
        queue.now = Depth(1, 0)
        await until(lambda: len(stage.notes("started")) == 2)
        assert len(in_state(supervisor, WorkerState.STOPPING)) == 1
        assert len(in_state(supervisor, WorkerState.RUNNING)) == 1
        (stage.folder / "go").touch()
        await until(lambda: not in_state(supervisor, WorkerState.STOPPING))
    assert len(stage.ids("started")) == 2


async def test_a_queue_that_cannot_be_asked_freezes_the_count_and_is_logged_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="essaim")

    def logged(event: str) -> int:
        return [record.getMessage() for record in caplog.records].count(event)

    async def outage(supervisor: Supervisor, queue: Queue, number: int) -> None:
        queue.now, asked = UnavailableError("the broker is away"), len(queue.asked)
        await until(lambda: len(queue.asked) > asked + 30)  # three cooldowns
        snapshot = supervisor.snapshot()
        assert (snapshot.desired, len(snapshot.workers)) == (4, 4)
        assert (snapshot.depth, snapshot.metric) == (None, None)
        assert snapshot.reason.startswith("frozen")
        assert logged("queue.unavailable") == number
        queue.now = Depth(20, 0)
        await until(lambda: logged("queue.available") == number)

    queue = Queue(ready=20)
    async with stage.supervisor(queue) as supervisor:
        await until(lambda: len(stage.notes("started")) == 4)
        await outage(supervisor, queue, 1)
        await outage(supervisor, queue, 2)


async def test_at_its_own_speed_the_queue_is_asked_no_more_than_once_per_polling_interval() -> None:
    queue, before = Queue(), time.monotonic()
    async with Supervisor(POLICY, queue.depth):
        await until(lambda: len(queue.asked) == 3)
    assert queue.asked[2] - before > 1.99


@pytest.mark.chaos
async def test_a_killed_supervisor_leaves_no_worker(stage: Stage) -> None:
    """Its workers share its standard output, so that only ends when the last of them is gone."""
    command = [sys.executable, "-c", SUPERVISOR, *stage.command("good")]
    supervisor = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    await until(lambda: len(stage.notes("started")) == 10)
    supervisor.kill()
    async with asyncio.timeout(DEADLINE):
        said, _ = await supervisor.communicate()
    assert said.split().count(b"orphaned") == said.split().count(b"drained") == 10
    stage.gone = set(stage.pids())  # dead, though their new parent may not have asked yet how they ended


async def test_it_leaves_though_a_driver_swallows_that() -> None:
    """As those of brokers and databases do, now and then."""
    asked = asyncio.Event()

    async def depth() -> Depth:
        swallows = not asked.is_set()
        asked.set()
        with suppress(asyncio.CancelledError) if swallows else nullcontext():
            await asyncio.Event().wait()
        return Depth(0, 0)

    async with asyncio.timeout(DEADLINE):
        async with Supervisor(POLICY, depth, speed=30):
            await asked.wait()
