"""Workers that are told to leave, are killed or stall: what is done again, and who goes on."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from essaim.jobs.model import Job, State
from tests.conftest import eventually
from tests.integration.worker.conftest import Site, redone, steps


async def test_sigterm_saves_the_checkpoint_and_the_next_worker_goes_on_from_it(site: Site) -> None:
    worker = site.house.start()
    job, journal = await site.submit(steps=60, step_seconds=0.02)
    await eventually(lambda: len(steps(journal)) > 10)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    assert len(steps(journal)) < 60
    assert not await site.backends.store.workers()
    site.house.start()
    assert (await site.result(job))["total"] == sum(range(60))
    assert redone(journal) <= 1  # a step that was under way; none that was saved


async def test_what_is_shown_of_a_handed_over_task_never_falls_back(site: Site) -> None:
    worker = site.house.start()
    job, journal = await site.submit(steps=4, step_seconds=1.5)
    await eventually(lambda: _progress(site, job))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    seen = [await _progress(site, job)]
    assert seen[0] >= 0.25
    site.house.start()

    async def handed_over() -> bool:
        """A new attempt has beaten, and saved something of its own."""
        seen.append(await _progress(site, job))
        (task,) = await site.backends.store.tasks(job.id)
        return task.attempts == 2 and seen[-1] > seen[0]

    await eventually(handed_over)
    assert seen == sorted(seen), journal.read_text()


async def test_a_worker_leaves_in_time_even_if_its_workload_does_not(site: Site) -> None:
    worker = site.house.start(ESSAIM_DRAIN_SECONDS="1")
    job, _ = await site.submit(stalls=True)
    await eventually(lambda: _running(site, job))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    (task,) = await site.backends.store.tasks(job.id)
    assert task.state is State.QUEUED
    assert (await site.backends.queue.depth()).ready == 1


async def test_a_killed_worker_costs_at_most_one_step(site: Site) -> None:
    worker = site.house.start()
    job, journal = await site.submit(steps=60, step_seconds=0.02)
    await eventually(lambda: len(steps(journal)) > 10)
    worker.kill()
    site.house.start()
    assert (await site.result(job))["total"] == sum(range(60))
    assert redone(journal) <= 1


async def test_a_stalled_worker_that_wakes_late_changes_nothing(site: Site) -> None:
    stalled = site.house.start()
    job, journal = await site.submit(steps=60, step_seconds=0.02)
    await eventually(lambda: len(steps(journal)) > 10)
    stalled.send_signal(signal.SIGSTOP)
    site.house.start()
    await eventually(lambda: any(line.split()[1] == "2" for line in steps(journal)))
    stalled.send_signal(signal.SIGCONT)
    assert (await site.result(job))["total"] == sum(range(60))
    (task,) = await site.backends.store.tasks(job.id)
    assert task.attempts == 2
    await eventually(lambda: "reason=lost" in site.house.logs())
    await eventually(lambda: _settled(site))
    assert json.loads(await site.service.result(await site.service.get(job.id)))["total"] == sum(range(60))


async def test_a_task_that_kills_its_workers_ends_too(site: Site) -> None:
    job, _ = await site.submit(kills=True)
    for _ in range(2):
        worker = site.house.start(ESSAIM_MAX_LOST_ATTEMPTS="2")
        await eventually(lambda worker=worker: worker.poll() is not None)
    site.house.start(ESSAIM_MAX_LOST_ATTEMPTS="2")
    ended = await site.ended(job)
    assert ended.problem is not None
    assert "2 workers vanished" in ended.problem.detail
    await eventually(site.backends.queue.dead_letters)


async def test_a_merge_that_kills_its_workers_ends_too(site: Site) -> None:
    """Its tasks have all succeeded: only the merge is an attempt that can be lost."""
    job, _ = await site.submit(tasks=2, steps=1, merge_kills=True)
    for _ in range(2):
        worker = site.house.start(ESSAIM_MAX_LOST_ATTEMPTS="2")
        await eventually(lambda worker=worker: worker.poll() is not None)
    site.house.start(ESSAIM_MAX_LOST_ATTEMPTS="2")
    ended = await site.ended(job)
    assert ended.problem is not None
    assert "2 workers vanished" in ended.problem.detail
    assert {task.state for task in await site.backends.store.tasks(job.id)} == {State.SUCCEEDED}
    await eventually(site.backends.queue.dead_letters)


@pytest.mark.parametrize("slow", [{"looks": 10_000_000}, {"tasks": 100, "steps": 0, "merge_seconds": 0.5}])
async def test_a_worker_is_free_again_when_a_job_is_cancelled_that_it_splits_or_merges(
    site: Site, slow: dict[str, Any]
) -> None:
    site.house.start(ESSAIM_CONCURRENCY="1")
    job, _ = await site.submit(**slow)
    await eventually(lambda: _splits_or_merges(site, job))
    await site.service.cancel(job.id)
    other, _ = await site.submit(steps=1)
    await site.result(other)


async def _splits_or_merges(site: Site, job: Job) -> bool:
    now = await site.backends.store.get(job.id)
    return now.state is State.RUNNING and now.tasks_ended == (now.tasks or 0)


async def test_a_worker_leaves_when_its_parent_is_gone(site: Site) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_WORKER_AND_WAITS],
        cwd=site.house.folder,
        env=site.house.environment,
        stderr=subprocess.DEVNULL,
    )
    site.house.processes.append(parent)
    await eventually(lambda: site.has_workers(1))
    parent.kill()
    await eventually(lambda: site.has_workers(0))


async def _settled(site: Site) -> bool:
    depth = await site.backends.queue.depth()
    return depth.ready + depth.in_flight == 0


async def _progress(site: Site, job: Job) -> float:
    return (await site.service.get(job.id)).progress


async def _running(site: Site, job: Job) -> bool:
    return (await site.service.get(job.id)).state is State.RUNNING


STARTS_A_WORKER_AND_WAITS = """
import os, subprocess, sys, time
read, write = os.pipe()
environment = {**os.environ, "ESSAIM_PARENT_FD": str(read)}
subprocess.Popen([sys.executable, "-m", "essaim_worker"], pass_fds=[read], env=environment)
time.sleep(600)
"""
