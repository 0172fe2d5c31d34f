"""What the job store promises about jobs that were cancelled, have failed, are revived or deleted."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest

from essaim.errors import JobNotFoundError, LeaseLostError
from essaim.jobs.model import Claimed, Ended, Job, Problem, State
from essaim.jobs.ports import JobStore

NewJob = Callable[..., Job]
Planned = Callable[..., Awaitable[Job]]
Claiming = Callable[..., Awaitable[Claimed]]
OpenStore = Callable[..., AbstractAsyncContextManager[JobStore]]

WRONG = Problem("job-error", "« liberté » is not there")


async def succeed(store: JobStore, job: Job, result: bytes = b"{}") -> None:
    for number in range(job.tasks or 0):
        claimed = await store.claim(job.id, number, "worker")
        assert isinstance(claimed, Claimed)
        await store.finish(claimed.claim, b"1")
    merge = await store.claim(job.id, 0, "worker")
    assert isinstance(merge, Claimed)
    assert await store.complete(merge.claim, result)


async def fail(store: JobStore, job: Job, number: int = 0) -> None:
    claimed = await store.claim(job.id, number, "worker")
    assert isinstance(claimed, Claimed)
    await store.finish(claimed.claim, WRONG)


async def test_a_cancelled_job_stays_cancelled(store: JobStore, planned: Planned) -> None:
    job = await planned(3)
    cancelled = await store.cancel(job.id)
    assert (cancelled.state, cancelled.tasks_ended) == (State.CANCELLED, 3)
    assert cancelled.ended is not None
    assert {task.state for task in await store.tasks(job.id)} == {State.CANCELLED}
    assert await store.cancel(job.id) == cancelled
    assert await store.revive(job.id, 2, job.release) == cancelled
    assert await store.claim(job.id, 0, "worker") == Ended()
    assert await store.get(job.id) == cancelled


async def test_a_job_that_is_not_split_can_be_cancelled(store: JobStore, new_job: NewJob) -> None:
    job = await store.submit(new_job())
    cancelled = await store.cancel(job.id)
    assert cancelled.state is State.CANCELLED
    assert await store.claim(job.id, 0, "worker") == Ended()
    await store.plan(job.id, 1, [b"1", b"2"])
    assert await store.get(job.id) == cancelled
    assert await store.tasks(job.id) == []


async def test_a_job_that_has_ended_is_not_cancelled(store: JobStore, planned: Planned) -> None:
    done, failed = await planned(), await planned(2)
    await succeed(store, done)
    await fail(store, failed)
    for job in (done, failed):
        before = await store.get(job.id)
        assert await store.cancel(job.id) == before
        assert await store.get(job.id) == before


async def test_a_failed_job_is_revived_once_for_each_run(store: JobStore, planned: Planned) -> None:
    job = await planned()
    await fail(store, job)
    failed = await store.get(job.id)
    assert await store.revive(job.id, 1, job.release) == failed
    assert await store.revive(job.id, 3, job.release) == failed

    revived = await store.revive(job.id, 2, job.release)
    assert (revived.state, revived.run, revived.problem) == (State.QUEUED, 2, None)
    assert (revived.started, revived.ended, revived.tasks_ended) == (None, None, 0)
    assert await store.revive(job.id, 2, job.release) == revived
    await fail(store, job)
    again = await store.get(job.id)
    assert await store.revive(job.id, 2, job.release) == again
    assert (await store.revive(job.id, 3, job.release)).run == 3


async def test_a_job_that_has_not_failed_is_not_revived(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    queued, running, done = await planned(), await planned(), await planned()
    await claimed(running)
    await succeed(store, done)
    for job in (queued, running, done):
        before = await store.get(job.id)
        assert await store.revive(job.id, 2, job.release) == before
        assert await store.get(job.id) == before


async def test_a_job_that_failed_before_its_split_is_split_again(
    store: JobStore, new_job: NewJob, claimed: Claiming
) -> None:
    job = await store.submit(new_job())
    await fail(store, job)
    await store.revive(job.id, 2, job.release)
    second = await claimed(job)
    assert (second.claim.attempt, second.input) == (2, None)
    assert await store.plan(job.id, 2, [b"1"]) == 1


@pytest.mark.parametrize("open_still", [False, True])
async def test_a_retry_can_split_the_job_again(
    store: JobStore, planned: Planned, claimed: Claiming, open_still: bool
) -> None:
    job = await planned(3)
    assert (job.split_in, job.retried, job.queued) == (1, None, job.created)
    await store.finish((await claimed(job, 0)).claim, b"old")
    late = (await claimed(job, 1)).claim
    if not open_still:
        await fail(store, job, number=2)
    kept = await store.revive(job.id, 2, job.release, job.release if open_still else None)
    assert (kept.split_in, kept.tasks, kept.tasks_ended) == (1, 3, 1)
    assert kept.retried is not None
    assert kept.queued == kept.retried > job.created

    again = await store.revive(job.id, 3, job.release, job.release, anew=True)
    assert (again.run, again.split_in, again.tasks, again.tasks_ended, again.progress) == (3, None, None, 0, 0.0)
    assert again.retried is not None
    assert again.retried > kept.retried
    with pytest.raises(LeaseLostError):
        await store.beat(late, 0.5)
    first = await claimed(job)
    assert (first.claim.run, first.input, first.checkpoint) == (3, None, None)
    assert await store.plan(job.id, 3, [b"a", b"b"]) == 2
    assert (await store.get(job.id)).split_in == 3
    assert (await claimed(job, 1)).input == b"b"


async def test_only_what_ended_before_is_purged(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    old, failed, cancelled, running, queued = [await planned(2) for _ in range(5)]
    await succeed(store, old)
    await fail(store, failed)
    await store.cancel(cancelled.id)
    claim = (await claimed(running)).claim
    ended = (await store.get(cancelled.id)).ended
    assert ended is not None

    assert await store.purge(ended - timedelta(hours=1)) == []
    assert set(await store.purge(ended + timedelta(microseconds=1000))) == {old.id, failed.id, cancelled.id}
    assert await store.purge(ended + timedelta(hours=1)) == []
    assert {job.id for job in (await store.list()).jobs} == {running.id, queued.id}
    assert await store.beat(claim, 0.5)
    with pytest.raises(JobNotFoundError):
        await store.tasks(old.id)


async def test_purge_takes_no_more_than_it_may(store: JobStore, new_job: NewJob) -> None:
    for _ in range(5):
        await store.cancel((await store.submit(new_job())).id)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert [len(await store.purge(later, limit=2)) for _ in range(4)] == [2, 2, 1, 0]


async def test_an_attempt_of_a_purged_job_changes_nothing(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned()
    claim = (await claimed(job)).claim
    await store.cancel(job.id)
    await store.purge(datetime.now(UTC) + timedelta(hours=1))
    for late in (store.beat(claim, 0.5, b"late"), store.finish(claim, b"late"), store.release(claim)):
        with pytest.raises(LeaseLostError):
            await late
    assert (await store.list()).jobs == []
