"""What the job store promises about how a task ends, and what that means for its job."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from essaim.errors import LeaseLostError
from essaim.jobs.model import MERGE, Claim, Claimed, Ended, Job, Problem, State, Task
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


async def test_a_task_that_succeeded_has_no_problem_left(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned()
    await store.release((await claimed(job)).claim, WRONG)
    await store.finish((await claimed(job, worker="worker-2")).claim, b"1")
    task = await task_of(store, job)
    assert (task.state, task.problem, task.progress, task.worker) == (State.SUCCEEDED, None, 1.0, "worker-2")
    assert task.ended is not None
    assert task.lease_until is None


async def test_the_last_finish_says_that_the_job_can_be_merged(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    job = await planned(3)
    claims = [(await claimed(job, number)).claim for number in range(3)]
    assert [await store.finish(claims[number], b"%d" % number) for number in (2, 0, 1)] == [False, False, True]
    merge = await claimed(job, 1, "worker")
    assert merge == Claimed(Claim(job.id, MERGE, 1, "worker"), None, None, 0, 0)
    assert (await store.get(job.id)).state is State.RUNNING
    assert [result async for result in store.results(job.id)] == [b"0", b"1", b"2"]
    await store.complete(merge.claim, b"3")
    assert await store.claim(job.id, 1, "worker") == Ended()


async def test_an_ended_task_of_an_unfinished_job_has_nothing_to_merge(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    job = await planned(2)
    await store.finish((await claimed(job)).claim, b"1")
    assert await store.claim(job.id, 0, "worker") == Ended()


async def test_results_are_many_and_in_order(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned(150)
    for number in reversed(range(150)):
        await store.finish((await claimed(job, number)).claim, b"%d" % number)
    assert [result async for result in store.results(job.id)] == [b"%d" % number for number in range(150)]


async def test_the_results_of_a_complete_job_are_all_there_or_an_error(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    """Two workers may merge at once: the slower one must never take what is gone for a shorter list."""
    job = await planned(100)
    for number in range(100):
        await store.finish((await claimed(job, number)).claim, b"%d" % number)
    slower = store.results(job.id)
    found = [await anext(slower)]
    await store.complete((await claimed(job)).claim, b"merged")
    try:
        found += [result async for result in slower]
    except LeaseLostError:
        return
    assert found == [b"%d" % number for number in range(100)]


async def test_finishing_twice_is_finishing_once(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    """A worker that did not hear the answer asks again, and learns whether to merge."""
    job = await planned(2)
    first, second = (await claimed(job, 0)).claim, (await claimed(job, 1)).claim
    assert [await store.finish(first, b"1") for _ in range(2)] == [False, False]
    assert [await store.finish(second, b"1") for _ in range(2)] == [True, True]
    assert (await store.get(job.id)).tasks_ended == 2
    with pytest.raises(LeaseLostError):
        await store.finish(second, WRONG)
    assert (await store.get(job.id)).state is State.RUNNING


async def test_a_failed_task_fails_its_job_and_ends_the_others(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    job = await planned(4)
    done, bad, running = [(await claimed(job, number)).claim for number in range(3)]
    await store.finish(done, b"1")
    assert not await store.finish(bad, WRONG)
    failed = await store.get(job.id)
    assert (failed.state, failed.problem, failed.tasks_ended) == (State.FAILED, WRONG, 4)
    assert failed.ended is not None
    states = [task.state for task in await store.tasks(job.id)]
    assert states == [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.CANCELLED]
    assert (await task_of(store, job, 1)).problem == WRONG

    assert not await store.beat(running, 0.5)
    for late in (store.finish(running, b"late"), store.finish(running, OTHER), store.release(running)):
        with pytest.raises(LeaseLostError):
            await late
    assert await store.claim(job.id, 3, "worker") == Ended()
    assert await store.get(job.id) == failed
    assert [task.state for task in await store.tasks(job.id)] == states


async def test_a_cancelled_job_stops_its_tasks(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned(2)
    running = (await claimed(job)).claim
    cancelled = await store.cancel(job.id)
    assert not await store.beat(running, 0.9, b"late")
    for late in (store.finish(running, b"late"), store.finish(running, WRONG), store.release(running, WRONG)):
        with pytest.raises(LeaseLostError):
            await late
    assert await store.get(job.id) == cancelled
    assert (await task_of(store, job)).state is State.CANCELLED


async def test_a_revived_job_goes_on_where_it_was(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned(4)
    done, bad, running = [(await claimed(job, number)).claim for number in range(3)]
    await store.finish(done, b"kept")
    await store.beat(running, 0.5, b"half")
    await store.release(bad, WRONG)
    bad = (await claimed(job, 1)).claim
    await store.beat(bad, 0.25, b"quarter")
    await store.finish(bad, WRONG)

    revived = await store.revive(job.id, 2, job.release)
    assert (revived.state, revived.tasks_ended) == (State.QUEUED, 1)
    tasks = await store.tasks(job.id)
    assert [task.state for task in tasks] == [State.SUCCEEDED, State.QUEUED, State.QUEUED, State.QUEUED]
    assert [(task.failures, task.problem, task.worker) for task in tasks[1:]] == [(0, None, None)] * 3
    again = [await claimed(job, number, "worker-2") for number in range(1, 4)]
    assert again == [
        Claimed(Claim(job.id, 1, 3, "worker-2", run=2), b"input 1", b"quarter", failures=0, lost=0),
        Claimed(Claim(job.id, 2, 2, "worker-2", run=2), b"input 2", b"half", failures=0, lost=0),
        Claimed(Claim(job.id, 3, 1, "worker-2", run=2), b"input 3", None, failures=0, lost=0),
    ]
    with pytest.raises(LeaseLostError):
        await store.beat(running, 0.9)
    assert [await store.finish(one.claim, b"%d" % one.claim.number) for one in again] == [False, False, True]
    assert [result async for result in store.results(job.id)] == [b"kept", b"1", b"2", b"3"]


async def test_an_attempt_before_the_revival_changes_nothing(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    job = await planned(2)
    old, bad = (await claimed(job, 0)).claim, (await claimed(job, 1)).claim
    await store.finish(bad, WRONG)
    await store.revive(job.id, 2, job.release)
    before = await store.tasks(job.id)
    for late in (store.beat(old, 0.5), store.finish(old, b"late"), store.release(old), store.finish(bad, WRONG)):
        with pytest.raises(LeaseLostError):
            await late
    assert await store.tasks(job.id) == before
    assert (await store.get(job.id)).state is State.QUEUED
