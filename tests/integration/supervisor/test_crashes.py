"""A worker that dies comes back, ever more slowly."""

import os
import signal
from itertools import pairwise

from essaim.supervisor.replica import WorkerState
from tests.integration.supervisor.conftest import Queue, Stage, in_state, until


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
