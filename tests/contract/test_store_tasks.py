"""What the job store promises about tasks: who may run one, what its attempts leave behind, how it ends."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from essaim.errors import JobNotFoundError
from essaim.jobs.model import Busy, Claim, Claimed, Job, Problem, State, Task
from essaim.jobs.ports import JobStore

NewJob = Callable[..., Job]
Planned = Callable[..., Awaitable[Job]]
Claiming = Callable[..., Awaitable[Claimed]]
Eventually = Callable[..., Awaitable[Any]]
OpenStore = Callable[..., AbstractAsyncContextManager[JobStore]]

WRONG = Problem("exception", "« liberté » \udce9")
OTHER = Problem("job-error", "no")


async def task_of(store: JobStore, job: Job, number: int = 0) -> Task:
    return (await store.tasks(job.id, after=number - 1, limit=1))[0]


async def test_a_planned_job_has_the_tasks_of_its_plan(store: JobStore, new_job: NewJob, claimed: Claiming) -> None:
    job = await store.submit(new_job())
    inputs = [b"zero", b"\x00\xff", b""]
    assert await store.plan(job.id, 1, inputs) == 3
    assert (await store.get(job.id)).tasks == 3
    assert await store.tasks(job.id) == [Task(job.id, number, State.QUEUED) for number in range(3)]
    assert [(await claimed(job, number)).input for number in range(3)] == inputs


async def test_a_job_is_planned_once(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned(3)
    assert await store.plan(job.id, 1, [b"other"]) == 3
    assert len(await store.tasks(job.id)) == 3
    assert (await claimed(job)).input == b"input 0"


async def test_whoever_claims_a_job_that_is_not_split_may_split_it(
    store: JobStore, new_job: NewJob, claimed: Claiming
) -> None:
    job = await store.submit(new_job())
    first = await claimed(job)
    assert first == Claimed(Claim(job.id, 0, 1, "worker-1"), input=None, checkpoint=None, failures=0, lost=0)
    assert isinstance(await store.claim(job.id, 0, "worker-2"), Busy)
    assert (await store.get(job.id)).state is State.RUNNING
    assert (await store.get(job.id)).tasks is None

    assert await store.plan(job.id, 1, [b"a", b"b"]) == 2
    assert isinstance(await store.claim(job.id, 0, "worker-2"), Busy)  # the claim outlives the split
    assert await store.beat(first.claim, 0.5)
    assert not await store.finish(first.claim, b"1")
    assert (await claimed(job, 1)).input == b"b"


async def test_the_claim_that_splits_a_job_is_no_attempt_at_its_first_task(
    store: JobStore, new_job: NewJob, claimed: Claiming
) -> None:
    begun, found = new_job(), await store.submit(new_job())
    first = await store.begin(begun, "worker-1")
    assert first is not None
    for job, claim in ((begun, first.claim), (found, (await claimed(found)).claim)):
        await store.release(claim, WRONG)
        splitting = (await claimed(job)).claim
        assert (await task_of(store, job)).attempts == 2  # as it looks while nobody knows of several tasks
        await store.plan(job.id, 1, [b"0", b"1"])
        await store.release(splitting)
        assert ((await task_of(store, job)).attempts, (await task_of(store, job, 1)).attempts) == (1, 0)
        assert (await claimed(job)).claim.attempt == 3  # the fence counts them all
        assert (await task_of(store, job)).attempts == 2

    single = await store.submit(new_job())
    await claimed(single)
    await store.plan(single.id, 1, [b"0"])
    assert (await task_of(store, single)).attempts == 1


async def test_a_task_that_was_not_planned_is_not_found(store: JobStore, new_job: NewJob, planned: Planned) -> None:
    unplanned = await store.submit(new_job())
    job = await planned(2)
    for job_id, number in ((unplanned.id, 1), (job.id, 2), (job.id, -1)):
        with pytest.raises(JobNotFoundError):
            await store.claim(job_id, number, "worker")


async def test_tasks_come_by_number_a_page_at_a_time(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned(25)
    await store.finish((await claimed(job, 7)).claim, b"1")
    await claimed(job, 20)
    assert [task.number for task in await store.tasks(job.id, limit=10)] == list(range(10))
    assert [task.number for task in await store.tasks(job.id, after=9, limit=10)] == list(range(10, 20))
    assert [task.number for task in await store.tasks(job.id, after=19)] == list(range(20, 25))
    assert await store.tasks(job.id, after=24) == []
    assert [task.number for task in await store.tasks(job.id, states=[State.RUNNING])] == [20]
    ended_or_not = await store.tasks(job.id, states=(State.RUNNING, State.SUCCEEDED), after=7)
    assert [task.number for task in ended_or_not] == [20]


async def test_a_claimed_task_is_busy_until_its_lease_runs_out(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    job = await planned(2)
    await claimed(job, 0, "worker-1")
    busy = await store.claim(job.id, 0, "worker-2")
    assert isinstance(busy, Busy)
    assert 0 < busy.seconds <= 300
    task = await task_of(store, job)
    assert (task.state, task.attempts, task.worker) == (State.RUNNING, 1, "worker-1")
    assert task.lease_until is not None
    assert task.lease_until > datetime.now(UTC)
    assert task.started is not None
    assert isinstance(await store.claim(job.id, 0, "worker-1"), Busy)  # not even its own worker gets it twice
    assert (await task_of(store, job, 1)).state is State.QUEUED


async def test_a_beat_extends_the_lease_and_saves_the_checkpoint(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    job = await planned()
    claim = (await claimed(job)).claim
    before = await task_of(store, job)
    assert await store.beat(claim, 0.25, b"\x00 so far \xff")
    assert await store.beat(claim, 0.5)
    after = await task_of(store, job)
    assert after.progress == 0.5
    assert before.lease_until is not None
    assert after.lease_until is not None
    assert after.lease_until > before.lease_until
    await store.release(claim)
    assert (await claimed(job)).checkpoint == b"\x00 so far \xff"


async def test_a_beat_without_news_leaves_what_an_earlier_attempt_saved(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    job = await planned()
    first = (await claimed(job)).claim
    await store.beat(first, 0.75, b"so far")
    await store.release(first)
    second = (await claimed(job)).claim
    before = await task_of(store, job)
    assert await store.beat(second)
    after = await task_of(store, job)
    assert (before.progress, after.progress) == (0.75, 0.75)
    assert before.lease_until is not None
    assert after.lease_until is not None
    assert after.lease_until > before.lease_until
    await store.release(second)
    assert (await claimed(job)).checkpoint == b"so far"


@pytest.mark.parametrize(("said", "kept"), [(-1.0, 0.0), (7.0, 1.0), (float("nan"), 0.0), (float("inf"), 1.0)])
async def test_progress_stays_between_0_and_1(
    store: JobStore, planned: Planned, claimed: Claiming, said: float, kept: float
) -> None:
    job = await planned()
    assert await store.beat((await claimed(job)).claim, said)
    assert (await task_of(store, job)).progress == kept
    assert (await store.get(job.id)).progress == kept


async def test_a_released_task_can_be_claimed_at_once(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned()
    first = await claimed(job)
    await store.beat(first.claim, 0.5, b"half")
    await store.release(first.claim)
    task = await task_of(store, job)
    assert (task.state, task.failures, task.worker, task.lease_until) == (State.QUEUED, 0, None, None)
    second = await claimed(job, worker="worker-2")
    assert second == Claimed(Claim(job.id, 0, 2, "worker-2"), b"input 0", b"half", failures=0, lost=0)
    assert (await task_of(store, job)).started == task.started  # of its first attempt


async def test_a_release_with_a_problem_is_a_failure(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned()
    for failures in range(3):
        attempt = await claimed(job)
        assert (attempt.failures, attempt.lost) == (failures, 0)
        await store.release(attempt.claim, WRONG)
    task = await task_of(store, job)
    assert (task.failures, task.attempts, task.problem, task.state) == (3, 3, WRONG, State.QUEUED)
    await store.release((await claimed(job)).claim)
    assert (await task_of(store, job)).problem == WRONG
    assert (await store.get(job.id)).state is State.RUNNING
