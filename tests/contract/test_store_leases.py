"""What the job store promises when attempts of a task overlap."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import pytest

from essaim.errors import LeaseLostError
from essaim.jobs.model import Busy, Claim, Claimed, Ended, Job, Problem
from essaim.jobs.ports import JobStore
from tests.conftest import eventually

NewJob = Callable[..., Job]
Planned = Callable[..., Awaitable[Job]]
Claiming = Callable[..., Awaitable[Claimed]]
OpenStore = Callable[..., AbstractAsyncContextManager[JobStore]]

WRONG = Problem("exception", "no")


@pytest.fixture
async def overlap(store: JobStore, open_store: OpenStore, planned: Planned) -> tuple[Job, Claim, Claimed]:
    """A job with two tasks; the claim on task 0 of a worker that stalled, and the one that took over."""
    job = await planned(2)
    async with open_store(lease_seconds=0.3) as short:
        stalled = await short.claim(job.id, 0, "stalled")
        assert isinstance(stalled, Claimed)
        assert await short.beat(stalled.claim, 0.5, b"half")

    async def taken_over() -> Claimed | None:
        answer = await store.claim(job.id, 0, "next")
        return answer if isinstance(answer, Claimed) else None

    return job, stalled.claim, await eventually(taken_over)


async def test_a_task_whose_lease_ran_out_is_taken_over(overlap: tuple[Job, Claim, Claimed]) -> None:
    job, stalled, taken_over = overlap
    assert stalled.attempt == 1
    assert taken_over == Claimed(Claim(job.id, 0, 2, "next"), b"input 0", b"half", failures=0, lost=1)


async def test_a_late_attempt_changes_nothing(store: JobStore, overlap: tuple[Job, Claim, Claimed]) -> None:
    job, stalled, taken_over = overlap
    before = (await store.get(job.id), await store.tasks(job.id))
    for late in (
        store.beat(stalled, 0.9, b"late"),
        store.beat(stalled, 0.9),
        store.finish(stalled, b"late"),
        store.finish(stalled, WRONG),
        store.release(stalled),
        store.release(stalled, WRONG),
    ):
        with pytest.raises(LeaseLostError):
            await late
    assert (await store.get(job.id), await store.tasks(job.id)) == before

    await store.finish(taken_over.claim, b"in time")
    for late in (store.finish(stalled, b"late"), store.finish(stalled, WRONG)):
        with pytest.raises(LeaseLostError):
            await late
    assert [result async for result in store.results(job.id)] == [b"in time"]


async def test_a_lost_attempt_is_counted_once(store: JobStore, overlap: tuple[Job, Claim, Claimed]) -> None:
    job, _, taken_over = overlap
    await store.release(taken_over.claim, WRONG)
    third = await store.claim(job.id, 0, "third")
    assert isinstance(third, Claimed)
    assert (third.claim.attempt, third.failures, third.lost) == (3, 1, 1)


async def test_a_revived_job_forgets_what_it_lost(store: JobStore, overlap: tuple[Job, Claim, Claimed]) -> None:
    job, _, taken_over = overlap
    await store.finish(taken_over.claim, WRONG)
    await store.revive(job.id, 2, job.release)
    third = await store.claim(job.id, 0, "third")
    assert isinstance(third, Claimed)
    assert (third.claim.attempt, third.failures, third.lost) == (3, 0, 0)


async def test_a_lease_far_in_the_future_has_ended(
    store: JobStore, open_store: OpenStore, planned: Planned, new_job: NewJob
) -> None:
    """As if the clock was set back after its worker died."""
    split, whole = await planned(1), new_job()
    async with open_store(lease_seconds=3600) as ahead:
        assert isinstance(await ahead.claim(split.id, 0, "died"), Claimed)
        assert isinstance(await ahead.begin(whole, "died"), Claimed)
    for job in (split, whole):
        next_one = await store.claim(job.id, 0, "next")
        assert isinstance(next_one, Claimed)
        assert (next_one.claim.attempt, next_one.lost) == (2, 1)
        assert isinstance(await store.claim(job.id, 0, "third"), Busy)


async def test_a_lease_that_ran_out_is_good_until_somebody_takes_over(
    store: JobStore, open_store: OpenStore, planned: Planned
) -> None:
    job = await planned(3)
    async with open_store(lease_seconds=0.05) as short:
        claims = [await short.claim(job.id, number, "slow") for number in range(3)]
    leases = [task.lease_until for task in await store.tasks(job.id)]
    await eventually(lambda: all(lease and lease < datetime.now(UTC) for lease in leases))
    beating, finishing, releasing = [claimed.claim for claimed in claims if isinstance(claimed, Claimed)]

    assert await store.beat(beating, 0.5)
    assert isinstance(await store.claim(job.id, 0, "next"), Busy)
    assert not await store.finish(finishing, b"1")
    assert await store.claim(job.id, 1, "next") == Ended()
    await store.release(releasing)
    third = await store.claim(job.id, 2, "next")
    assert isinstance(third, Claimed)
    assert third.lost == 0
