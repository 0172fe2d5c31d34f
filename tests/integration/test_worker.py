"""What a worker promises, shown with real worker processes and a workload that writes down each step it takes."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from jobs import endings
from jobs.backends import Backends
from jobs.errors import QueueFullError
from jobs.events import JobSubmitted, TaskReady, to_event
from jobs.model import Claimed, Depth, Job, Problem, State
from jobs.service import JobService
from tests.conftest import ROOT, House
from tests.servers import S3, services

Eventually = Callable[..., Awaitable[Any]]


class Site:
    """A house, its backends, and what a client does with them."""

    def __init__(self, house: House, backends: Backends, request: type[Any], eventually: Eventually) -> None:
        self.house = house
        self.backends = backends
        self.service = JobService(backends, house.settings)
        self.eventually = eventually
        self._request = request
        self._journals = 0

    def request(self, **options: object) -> Any:
        self._journals += 1
        return self._request(journal=str(self.house.folder / f"journal-{self._journals}"), **options)

    async def submit(self, **options: object) -> tuple[Job, Path]:
        request = self.request(**options)
        job, _ = await self.service.submit(request, "tester")
        return job, Path(request.journal)

    async def ended(self, job: Job) -> Job:
        async def look() -> Job | None:
            now = await self.service.get(job.id)
            return now if now.state.ended else None

        try:
            found: Job = await self.eventually(look)
        except TimeoutError:
            raise AssertionError(f"{await self.service.get(job.id)}\n{self.house.logs()}") from None
        return found

    async def result(self, job: Job) -> dict[str, Any]:
        ended = await self.ended(job)
        assert ended.state is State.SUCCEEDED, (ended, self.house.logs())
        return dict(json.loads(await self.service.result(ended)))


def steps(journal: Path) -> list[str]:
    return journal.read_text().splitlines() if journal.exists() else []


def redone(journal: Path) -> int:
    taken = Counter((line.split()[0], line.split()[2]) for line in steps(journal))
    return sum(count - 1 for count in taken.values())


@pytest.fixture(params=["embedded", "services"])
async def site(
    request: pytest.FixtureRequest,
    build_house: Callable[..., House],
    journal_request: type[Any],
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        settings: dict[str, str] = {}
        if request.param == "services":
            settings = await stack.enter_async_context(services())
            for name, value in S3.items():
                monkeypatch.setenv(name, value)
        house = build_house(ROOT / "tests" / "houses" / "journal", **settings)
        house.environment.update(S3)
        backends = await stack.enter_async_context(house.backends())
        stack.callback(house.kill_all)  # before its queue goes, or it would make it again
        yield Site(house, backends, journal_request, eventually)


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
    await site.eventually(lambda: _workers(site, 3))
    job, _ = await site.submit(tasks=12, steps=4, step_seconds=0.05)
    assert await site.result(job) == {"total": 72, "numbers": list(range(12))}
    assert len({task.worker for task in await site.backends.store.tasks(job.id)}) == 3
    assert (await site.backends.queue.depth()).ready == 0


async def test_a_queue_full_of_jobs_to_be_split_does_not_stand_still(
    build_house: Callable[..., House], journal_request: type[Any], eventually: Eventually
) -> None:
    house = build_house(ROOT / "tests" / "houses" / "journal", max_queue_length=3)
    async with house.backends() as backends:
        site = Site(house, backends, journal_request, eventually)
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

    await site.eventually(four)
    await site.service.cancel(job.id)


async def test_an_exception_is_retried_and_resumes_from_the_checkpoint(site: Site) -> None:
    site.house.start()
    job, journal = await site.submit(steps=6, raises=2)
    assert await site.result(job) == {"total": 15, "numbers": [0]}
    (task,) = await site.backends.store.tasks(job.id)
    assert (task.attempts, task.failures) == (3, 2)
    assert [line for line in steps(journal) if line.endswith(" 0")] == ["0 1 0"]  # the first step is not done again


async def test_a_task_that_always_raises_is_parked_and_a_replay_revives_it(site: Site) -> None:
    site.house.start(ESSAIM_MAX_ATTEMPTS="3")
    job, _ = await site.submit(tasks=2, steps=2, raises=3)
    ended = await site.ended(job)
    assert ended.state is State.FAILED
    assert ended.problem is not None
    assert ended.problem.type == "attempts-exhausted"
    letters = await site.eventually(site.backends.queue.dead_letters)
    assert "not its day" in letters[0].reason
    assert await site.service.replay([letters[0].id]) == 1
    await site.eventually(lambda: _running_again(site, job))
    assert await site.result(job) == {"total": 2, "numbers": [0, 1]}  # the fourth attempt is its day
    assert not await site.backends.queue.dead_letters()


@pytest.mark.parametrize(("kind", "parked"), [("attempts-exhausted", 1), ("job-error", 0)])
@pytest.mark.parametrize("tasks", [1, 2])
async def test_what_a_killed_worker_had_no_time_to_park_is_parked_by_the_next(
    site: Site, tasks: int, kind: str, parked: int
) -> None:
    """It had written down that the last task has failed, and its messages come back."""
    store, queue = site.backends.store, site.backends.queue
    job, _ = await site.submit(tasks=tasks)
    claimed = await store.begin(job, "killed")
    if tasks > 1:
        await store.plan(job.id, 1, [b"{}"] * tasks)
        claimed = await store.claim(job.id, tasks - 1, "killed")  # type: ignore[assignment]  # nobody else has it
        await queue.publish([to_event(TaskReady(job.id, number), "dev") for number in range(tasks)])
    assert isinstance(claimed, Claimed)
    await store.finish(claimed.claim, Problem(kind, "it was not its day"))
    site.house.start()
    await site.result((await site.submit(steps=1))[0])
    await site.eventually(lambda: _empty(site))
    assert [letter.reason for letter in await queue.dead_letters()] == ["it was not its day"] * parked


@pytest.mark.parametrize("site", ["services"], indirect=True)
async def test_what_a_killed_worker_had_no_time_to_tell_the_job_is_parked_too(site: Site) -> None:
    """MongoDB's documents change one by one: the task's has failed, the job's is still running."""
    store, queue = site.backends.store, site.backends.queue
    job, _ = await site.submit(tasks=2)
    await store.begin(job, "killed")
    await store.plan(job.id, 1, [b"{}"] * 2)
    claimed = await store.claim(job.id, 1, "killed")
    assert isinstance(claimed, Claimed)
    await store.finish(claimed.claim, Problem("attempts-exhausted", "it was not its day"))
    async with AsyncMongoClient[dict[str, Any]](site.house.settings.store_url) as client:
        unheard = {"state": "running", "problem": None, "ended": None, "progress": None}
        changed = await client.get_default_database().jobs.update_one({"_id": job.id}, {"$set": unheard})
    assert changed.modified_count == 1
    await queue.publish([to_event(TaskReady(job.id, 1), "dev")])
    site.house.start()
    assert (await site.ended(job)).state is State.FAILED
    await site.eventually(lambda: _empty(site))
    assert [letter.reason for letter in await queue.dead_letters()] == ["it was not its day"]


async def test_a_job_that_succeeds_while_it_is_cancelled_is_not_said_to_be_cancelled(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job, _ = await site.submit()
    store, promise = site.backends.store, endings.promise

    async def meanwhile(*asked: Any) -> None:
        await promise(*asked)
        claimed = await store.claim(job.id, 0, "faster")
        assert isinstance(claimed, Claimed)
        await store.plan(job.id, 1, [b"{}"])
        await store.finish(claimed.claim, b"{}")
        assert await store.complete(job.id, 1, b"{}")

    monkeypatch.setattr(endings, "promise", meanwhile)
    with caplog.at_level("INFO", "essaim"):
        assert (await site.service.cancel(job.id)).state is State.SUCCEEDED
        assert "job.cancelled" not in caplog.messages
        monkeypatch.undo()
        other, _ = await site.submit()
        assert (await site.service.cancel(other.id)).state is State.CANCELLED
        assert caplog.messages.count("job.cancelled") == 1


async def test_a_failed_job_can_be_retried_and_what_has_succeeded_stays(site: Site) -> None:
    """Each task raises once, and one failure is allowed, so that the job fails once for each of them."""
    site.house.start(ESSAIM_MAX_ATTEMPTS="1")
    job, journal = await site.submit(tasks=3, steps=2, raises=1)
    for run in (2, 3, 4):
        assert (await site.ended(job)).state is State.FAILED
        retried = await site.service.retry(job.id)
        assert retried.run == run
        assert not retried.state.ended  # the worker may have begun already
    assert await site.result(job) == {"total": 3, "numbers": [0, 1, 2]}
    assert redone(journal) == 3  # the failed step of each task; nothing that had succeeded


async def test_what_the_workload_rejects_fails_at_once_and_is_not_parked(site: Site) -> None:
    site.house.start()
    job, _ = await site.submit(rejects=True)
    ended = await site.ended(job)
    assert ended.problem is not None
    assert (ended.state, ended.problem.type) == (State.FAILED, "job-error")
    assert ended.problem.detail == "this request cannot succeed"
    (task,) = await site.backends.store.tasks(job.id)
    assert task.attempts == 1
    assert not await site.backends.queue.dead_letters()
    assert "task.rejected" in site.house.logs()


@pytest.mark.parametrize("raised", ["SystemExit", "StopIteration"])
async def test_what_no_program_should_raise_fails_a_task_like_any_exception(site: Site, raised: str) -> None:
    worker = site.house.start(ESSAIM_MAX_ATTEMPTS="1")
    job, _ = await site.submit(leaves=raised)
    ended = await site.ended(job)
    assert ended.problem is not None
    assert ended.problem.type == "attempts-exhausted"
    assert raised in ended.problem.detail
    assert worker.poll() is None


async def test_a_split_that_raises_is_retried_like_a_task(site: Site) -> None:
    site.house.start()
    job, _ = await site.submit(tasks=3, steps=1, split_fails=2)
    assert (await site.result(job))["numbers"] == [0, 1, 2]


async def test_a_merge_that_raises_fails_the_job_with_its_reason(site: Site) -> None:
    site.house.start()
    job, _ = await site.submit(tasks=2, steps=1, merge_raises=True)
    ended = await site.ended(job)
    assert ended.problem is not None
    assert (ended.state, ended.problem.type) == (State.FAILED, "merge-failed")
    assert "the merge is broken" in ended.problem.detail


async def test_more_tasks_than_allowed_fail_the_job(site: Site) -> None:
    site.house.start(ESSAIM_MAX_TASKS_PER_JOB="5")
    job, _ = await site.submit(tasks=6)
    ended = await site.ended(job)
    assert ended.problem is not None
    assert "splits into 6 tasks" in ended.problem.detail


async def test_a_large_result_goes_to_the_text_store_and_comes_back_whole(site: Site) -> None:
    site.house.start(ESSAIM_INLINE_RESULT_BYTES="10")
    job, _ = await site.submit(tasks=3, steps=2)
    assert await site.result(job) == {"total": 3, "numbers": [0, 1, 2]}
    stored = await site.service.get(job.id)
    assert stored.result is not None
    assert stored.result.startswith(b"@")


async def test_a_poison_message_is_parked_and_the_rest_goes_on(site: Site) -> None:
    event = to_event(JobSubmitted(await _unsubmitted(site)), "dev")
    data = event.get_data()
    assert isinstance(data, dict)
    data.pop("request")
    await site.backends.queue.publish([event])
    job, _ = await site.submit(steps=1)
    site.house.start()
    await site.result(job)
    (letter,) = await site.eventually(site.backends.queue.dead_letters)
    assert "request" in letter.reason


async def test_a_job_whose_api_died_between_publish_and_insert_is_run(site: Site) -> None:
    """The API process is killed with SIGKILL right after the queue has confirmed the message."""
    killed = subprocess.run(
        [sys.executable, "-c", DIES_AFTER_PUBLISH, site.request(steps=2).model_dump_json()],
        cwd=site.house.folder / "house",
        env=site.house.environment,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (await site.backends.store.list()).jobs
    site.house.start()
    page = await site.eventually(lambda: _any_jobs(site))
    assert await site.result(page.jobs[0]) == {"total": 1, "numbers": [0]}
    assert page.jobs[0].owner == "tester"


async def test_a_cancelled_job_stops_its_running_tasks(site: Site) -> None:
    site.house.start()
    job, journal = await site.submit(steps=2000, step_seconds=0.02)
    await site.eventually(lambda: len(steps(journal)) > 2)
    cancelled = await site.service.cancel(job.id)
    assert cancelled.state is State.CANCELLED
    await site.eventually(lambda: _idle(site))
    assert len(steps(journal)) < 1000
    assert (await site.service.get(job.id)).state is State.CANCELLED
    other, _ = await site.submit(steps=1)
    await site.result(other)


async def test_sigterm_saves_the_checkpoint_and_the_next_worker_goes_on_from_it(site: Site) -> None:
    worker = site.house.start()
    job, journal = await site.submit(steps=60, step_seconds=0.02)
    await site.eventually(lambda: len(steps(journal)) > 10)
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
    await site.eventually(lambda: _progress(site, job))
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

    await site.eventually(handed_over)
    assert seen == sorted(seen), journal.read_text()


async def test_a_worker_leaves_in_time_even_if_its_workload_does_not(site: Site) -> None:
    worker = site.house.start(ESSAIM_DRAIN_SECONDS="1")
    job, _ = await site.submit(stalls=True)
    await site.eventually(lambda: _running(site, job))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    (task,) = await site.backends.store.tasks(job.id)
    assert task.state is State.QUEUED
    assert (await site.backends.queue.depth()).ready == 1


async def test_a_killed_worker_costs_at_most_one_step(site: Site) -> None:
    worker = site.house.start()
    job, journal = await site.submit(steps=60, step_seconds=0.02)
    await site.eventually(lambda: len(steps(journal)) > 10)
    worker.kill()
    site.house.start()
    assert (await site.result(job))["total"] == sum(range(60))
    assert redone(journal) <= 1


async def test_a_stalled_worker_that_wakes_late_changes_nothing(site: Site) -> None:
    stalled = site.house.start()
    job, journal = await site.submit(steps=60, step_seconds=0.02)
    await site.eventually(lambda: len(steps(journal)) > 10)
    stalled.send_signal(signal.SIGSTOP)
    site.house.start()
    await site.eventually(lambda: any(line.split()[1] == "2" for line in steps(journal)))
    stalled.send_signal(signal.SIGCONT)
    assert (await site.result(job))["total"] == sum(range(60))
    (task,) = await site.backends.store.tasks(job.id)
    assert task.attempts == 2
    await site.eventually(lambda: "reason=lost" in site.house.logs())
    await site.eventually(lambda: _settled(site))
    assert json.loads(await site.service.result(await site.service.get(job.id)))["total"] == sum(range(60))


async def test_a_task_that_kills_its_workers_ends_too(site: Site) -> None:
    job, _ = await site.submit(kills=True)
    for _ in range(2):
        worker = site.house.start(ESSAIM_MAX_LOST_ATTEMPTS="2")
        await site.eventually(lambda worker=worker: worker.poll() is not None)
    site.house.start(ESSAIM_MAX_LOST_ATTEMPTS="2")
    ended = await site.ended(job)
    assert ended.problem is not None
    assert "2 workers vanished" in ended.problem.detail
    await site.eventually(site.backends.queue.dead_letters)


async def test_a_worker_leaves_when_its_parent_is_gone(site: Site) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_WORKER_AND_WAITS],
        cwd=site.house.folder / "house",
        env=site.house.environment,
        stderr=subprocess.DEVNULL,
    )
    site.house.processes.append(parent)
    await site.eventually(lambda: _workers(site, 1))
    parent.kill()
    await site.eventually(lambda: _workers(site, 0))


async def _workers(site: Site, count: int) -> bool:
    return len(await site.backends.store.workers()) == count


async def _idle(site: Site) -> bool:
    workers = await site.backends.store.workers()
    return bool(workers) and not any(worker.tasks for worker in workers)


async def _settled(site: Site) -> bool:
    depth = await site.backends.queue.depth()
    return depth.ready + depth.in_flight == 0


async def _progress(site: Site, job: Job) -> float:
    return (await site.service.get(job.id)).progress


async def _running(site: Site, job: Job) -> bool:
    return (await site.service.get(job.id)).state is State.RUNNING


async def _running_again(site: Site, job: Job) -> bool:
    return (await site.service.get(job.id)).run == 2


async def _empty(site: Site) -> bool:
    return await site.backends.queue.depth() == Depth(ready=0, in_flight=0)


async def _any_jobs(site: Site) -> Any:
    page = await site.backends.store.list()
    return page if page.jobs else None


async def _unsubmitted(site: Site) -> Job:
    job, _ = await site.submit(steps=1)
    await site.service.cancel(job.id)
    return job


DIES_AFTER_PUBLISH = """
import asyncio, os, signal, sys
from dataclasses import replace
from jobs.backends import open_backends
from jobs.payload import Request
from jobs.service import JobService
from jobs.settings import load_settings

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

STARTS_A_WORKER_AND_WAITS = """
import os, subprocess, sys, time
read, write = os.pipe()
environment = {**os.environ, "ESSAIM_PARENT_FD": str(read)}
subprocess.Popen([sys.executable, "-m", "worker"], pass_fds=[read], env=environment)
time.sleep(600)
"""
