"""What a worker does with a job that goes well, with real worker processes and a workload that writes down each step."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from essaim.errors import QueueFullError
from essaim.jobs import endings
from essaim.jobs.model import Claimed, State
from tests.conftest import BuildHouse, eventually
from tests.integration.worker.conftest import Site, steps


async def test_a_job_with_one_task_runs_to_its_result(site: Site) -> None:
    site.house.start()
    job, journal = await site.submit(steps=4)
    assert await site.result(job) == {"total": 6, "numbers": [0]}
    assert len(steps(journal)) == 4
    ended = await site.service.get(job.id)
    assert (ended.tasks, ended.tasks_ended, ended.progress) == (1, 1, 1.0)


async def test_a_job_with_many_tasks_is_spread_over_the_workers_and_merged_in_order(site: Site) -> None:
    for _ in range(3):
        site.house.start()
    await eventually(lambda: site.has_workers(3))
    job, _ = await site.submit(tasks=12, steps=4, step_seconds=0.05)
    assert await site.result(job) == {"total": 72, "numbers": list(range(12))}
    assert len({task.worker for task in await site.backends.store.tasks(job.id)}) == 3
    assert (await site.backends.queue.depth()).ready == 0


async def test_a_queue_full_of_jobs_to_be_split_does_not_stand_still(
    build_house: BuildHouse, journal_request: type[Any]
) -> None:
    house = build_house("journal", max_queue_length=3)
    async with house.backends() as backends:
        site = Site(house, backends, journal_request)
        jobs = [(await site.submit(tasks=4, steps=1))[0] for _ in range(3)]
        with pytest.raises(QueueFullError):
            await site.submit()
        house.start()
        assert [await site.result(job) for job in jobs] == [{"total": 0, "numbers": [0, 1, 2, 3]}] * 3


async def test_one_worker_runs_as_many_tasks_at_once_as_it_is_told(site: Site) -> None:
    job, _ = await site.submit(tasks=4, steps=400, step_seconds=0.05)
    site.house.start(ESSAIM_CONCURRENCY="4")

    async def four() -> bool:
        workers = await site.backends.store.workers()
        return len(workers) == 1 and len(workers[0].tasks) == 4

    await eventually(four)
    await site.service.cancel(job.id)


async def test_a_large_result_goes_to_the_text_store_and_comes_back_whole(site: Site) -> None:
    site.house.start(ESSAIM_INLINE_RESULT_BYTES="10")
    job, _ = await site.submit(tasks=3, steps=2)
    assert await site.result(job) == {"total": 3, "numbers": [0, 1, 2]}
    stored = await site.service.get(job.id)
    assert stored.result is not None
    assert stored.result.startswith(b"@")


async def test_a_job_whose_api_died_between_publish_and_insert_is_run(site: Site) -> None:
    """The API process is killed with SIGKILL right after the queue has confirmed the message."""
    killed = subprocess.run(
        [sys.executable, "-c", DIES_AFTER_PUBLISH, site.request(steps=2).model_dump_json()],
        cwd=site.house.folder,
        env=site.house.environment,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (await site.backends.store.list()).jobs
    site.house.start()
    page = await eventually(lambda: _any_jobs(site))
    assert await site.result(page.jobs[0]) == {"total": 1, "numbers": [0]}
    assert page.jobs[0].owner == "tester"


async def test_a_cancelled_job_stops_its_running_tasks(site: Site) -> None:
    site.house.start()
    job, journal = await site.submit(steps=2000, step_seconds=0.02)
    await eventually(lambda: len(steps(journal)) > 2)
    cancelled = await site.service.cancel(job.id)
    assert cancelled.state is State.CANCELLED
    await eventually(lambda: _idle(site))
    assert len(steps(journal)) < 1000
    assert (await site.service.get(job.id)).state is State.CANCELLED
    other, _ = await site.submit(steps=1)
    await site.result(other)


async def test_a_job_that_succeeds_while_it_is_cancelled_is_not_said_to_be_cancelled(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job, _ = await site.submit()
    store, publish_ended = site.backends.store, endings.publish_ended

    async def meanwhile(*asked: Any) -> None:
        await publish_ended(*asked)
        claimed = await store.claim(job.id, 0, "faster")
        assert isinstance(claimed, Claimed)
        await store.plan(job.id, 1, [b"{}"])
        await store.finish(claimed.claim, b"{}")
        merge = await store.claim(job.id, 0, "faster")
        assert isinstance(merge, Claimed)
        assert await store.complete(merge.claim, b"{}")

    monkeypatch.setattr(endings, "publish_ended", meanwhile)
    with caplog.at_level("INFO", "essaim"):
        assert (await site.service.cancel(job.id)).state is State.SUCCEEDED
        assert "job.cancelled" not in caplog.messages
        monkeypatch.undo()
        other, _ = await site.submit()
        assert (await site.service.cancel(other.id)).state is State.CANCELLED
        assert caplog.messages.count("job.cancelled") == 1


async def _idle(site: Site) -> bool:
    workers = await site.backends.store.workers()
    return bool(workers) and not any(worker.tasks for worker in workers)


async def _any_jobs(site: Site) -> Any:
    page = await site.backends.store.list()
    return page if page.jobs else None


DIES_AFTER_PUBLISH = """
import asyncio, os, signal, sys
from dataclasses import replace
from essaim.jobs.backends import open_backends
from journal.payload import Request
from essaim.jobs.service import JobService
from essaim.jobs.settings import load_settings

class DyingQueue:
    def __init__(self, queue):
        self.queue = queue
    async def publish(self, events):
        await self.queue.publish(events)
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    settings = load_settings()
    async with open_backends(settings) as backends:
        service = JobService(replace(backends, queue=DyingQueue(backends.queue)), settings)
        await service.submit(Request.model_validate_json(sys.argv[1]), "tester")

asyncio.run(main())
"""
