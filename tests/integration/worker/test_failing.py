"""What becomes of a task, a job and a message when the workload raises, or whoever had them could not go on."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient

from essaim.jobs.events import JobSubmitted, TaskReady, to_event
from essaim.jobs.model import Claimed, Depth, Job, Problem, State
from tests.conftest import eventually
from tests.integration.worker.conftest import Site, redone, steps


async def as_stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


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
    letters = await eventually(site.backends.queue.dead_letters)
    assert "not its day" in letters[0].reason
    assert await site.service.replay([letters[0].id]) == 1
    await eventually(lambda: _running_again(site, job))
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
    await eventually(lambda: _empty(site))
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
    await eventually(lambda: _empty(site))
    assert [letter.reason for letter in await queue.dead_letters()] == ["it was not its day"]


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


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("repair", ["replaced", "deleted and put again"])
async def test_a_retry_after_an_input_was_repaired_splits_the_job_again(site: Site, tasks: int, repair: str) -> None:
    texts = site.backends.texts
    await texts.put("figures", as_stream(b"broken"), limit=100)
    site.house.start(ESSAIM_MAX_ATTEMPTS="2", ESSAIM_BEAT_SECONDS="0.05")
    job, _ = await site.submit(tasks=tasks, steps=2, reads="figures", step_seconds=0.2)
    problem = (await site.ended(job)).problem
    assert problem is not None
    assert (problem.type, "figures is broken" in problem.detail) == ("attempts-exhausted", True)
    if repair != "replaced":
        await texts.delete("figures")
    await texts.put("figures", as_stream(b"whole"), limit=100)
    before = {task.number: task.attempts for task in await site.backends.store.tasks(job.id)}
    await site.service.retry(job.id)
    assert await site.result(job) == {"total": tasks, "numbers": list(range(tasks))}
    assert len(await site.backends.queue.dead_letters()) == 1  # of the first run
    if tasks > 1:
        assert before[tasks - 1] == 2
        assert (await site.service.get(job.id)).run == 3
        assert [task.attempts for task in await site.backends.store.tasks(job.id)] == [1] * tasks
        await site.logged("job.split_again")


@pytest.mark.parametrize("change", ["replaced", "deleted"])
async def test_an_input_that_changes_while_the_job_runs_fails_it_at_once_and_says_what_to_do(
    site: Site, change: str
) -> None:
    texts = site.backends.texts
    await texts.put("figures", as_stream(b"whole"), limit=100)
    job, _ = await site.submit(tasks=2, steps=1, reads="figures")
    await site.backends.store.begin(job, "splits")
    etag = (await texts.stat("figures")).etag
    inputs = [f'{{"number": {number}, "etag": {json.dumps(etag)}}}'.encode() for number in range(2)]
    await site.backends.store.plan(job.id, 1, inputs)
    await texts.delete("figures")
    if change == "replaced":
        await texts.put("figures", as_stream(b"new"), limit=100)
    await site.backends.queue.publish([to_event(TaskReady(job.id, 1), "dev")])
    site.house.start()
    ended = await site.ended(job)
    assert ended.problem is not None
    assert (ended.run, ended.problem.type) == (1, "inputs-changed")
    assert ended.problem.detail.startswith("an input changed after the job was split: ")
    assert ended.problem.detail.endswith("; retry the job to split it again")
    assert (await site.backends.store.tasks(job.id))[1].attempts == 1
    assert not await site.backends.queue.dead_letters()
    if change == "deleted":
        await texts.put("figures", as_stream(b"new"), limit=100)
    await site.service.retry(job.id)
    assert await site.result(job) == {"total": 0, "numbers": [0, 1]}


async def test_a_retried_job_has_waited_since_its_retry(site: Site) -> None:
    created = datetime.now(UTC) - timedelta(hours=1)
    request = site.request(steps=1).model_dump(mode="json")
    job = Job(str(uuid4()), "tester", site.house.settings.release, request, "f" * 64, created)
    begun = await site.backends.store.begin(job, "failing")
    assert begun is not None
    await site.backends.store.finish(begun.claim, Problem("job-error", "no"))
    await site.service.retry(job.id)
    site.house.start()
    await site.result(job)
    for name in ("waited", "seconds"):
        found = await site.logged(rf" {name}=(\S+)")
        assert float(found[1]) < 3600


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
    await site.logged("task.rejected")


async def test_a_rejection_of_what_was_cancelled_meanwhile_is_no_mistake_of_ours(site: Site) -> None:
    job, _ = await site.submit(rejects=True)
    left = subprocess.run(
        [sys.executable, "-c", CANCELS_BEFORE_THE_END],
        cwd=site.house.folder,
        env=site.house.environment,
        capture_output=True,
        text=True,
    )
    assert left.returncode == 0, left.stderr
    assert (await site.service.get(job.id)).state is State.CANCELLED
    assert not await site.backends.queue.dead_letters()


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


async def test_a_poison_message_is_parked_and_the_rest_goes_on(site: Site) -> None:
    event = to_event(JobSubmitted(await _unsubmitted(site)), "dev")
    data = event.get_data()
    assert isinstance(data, dict)
    data.pop("request")
    await site.backends.queue.publish([event])
    job, _ = await site.submit(steps=1)
    site.house.start()
    await site.result(job)
    (letter,) = await eventually(site.backends.queue.dead_letters)
    assert "request" in letter.reason


async def _running_again(site: Site, job: Job) -> bool:
    return (await site.service.get(job.id)).run == 2


async def _empty(site: Site) -> bool:
    return await site.backends.queue.depth() == Depth(ready=0, in_flight=0)


async def _unsubmitted(site: Site) -> Job:
    job, _ = await site.submit(steps=1)
    await site.service.cancel(job.id)
    return job


CANCELS_BEFORE_THE_END = """
import asyncio
from dataclasses import replace
from essaim.jobs.backends import open_backends
from essaim.jobs.settings import load_settings
from essaim_worker.consumer import Consumer

class LateStore:
    def __init__(self, store, leaving):
        self.store, self.leaving = store, leaving
    def __getattr__(self, name):
        return getattr(self.store, name)
    async def finish(self, claim, outcome):
        await self.store.cancel(claim.job_id)
        self.leaving.set()
        return await self.store.finish(claim, outcome)

async def main():
    settings, leaving = load_settings(), asyncio.Event()
    async with open_backends(settings) as backends:
        await Consumer(replace(backends, store=LateStore(backends.store, leaving)), settings, "late", leaving).run()

asyncio.run(main())
"""
