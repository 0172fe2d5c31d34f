"""Whoever leaves, however it leaves, no worker is left behind."""

import asyncio
import sys
from contextlib import nullcontext, suppress

import pytest

from essaim.errors import UnavailableError
from essaim.jobs.model import Depth
from essaim.supervisor.replica import WorkerState
from essaim.supervisor.supervisor import Supervisor
from tests.conftest import ROOT
from tests.integration.supervisor.conftest import DEADLINE, POLICY, Queue, Stage, exists, in_state, until

# A supervisor of its own, to be killed.
SUPERVISOR = """
import asyncio, sys
from essaim.jobs.model import Depth
from essaim.autoscaler.policy import default_path, load
from essaim.supervisor.supervisor import Supervisor
async def depth():
    return Depth(60, 0)
async def main():
    async with Supervisor(load(default_path()), depth, command=sys.argv[1:], speed=30):
        await asyncio.Event().wait()
asyncio.run(main())
"""


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
