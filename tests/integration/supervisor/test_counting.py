"""How many workers there are follows the queue, and the idle go first."""

import logging
import time
from collections.abc import Collection

import pytest

from essaim.errors import UnavailableError
from essaim.jobs.model import Depth
from essaim.supervisor.replica import WorkerState
from essaim.supervisor.supervisor import Supervisor
from tests.integration.supervisor.conftest import POLICY, Queue, Stage, in_state, until


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
        assert "12 wanted, 10 by maxReplicaCount; 12 = max(total - ready, 0) + ceil(" in snapshot.reason
        queue.now = Depth(0, 0)
        await until(lambda: not supervisor.snapshot().workers)
        assert supervisor.snapshot().desired == 0
    assert stage.ids("drained") == stage.ids("started")
    assert len(stage.ids("started")) == 10


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
