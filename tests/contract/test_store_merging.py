"""What the job store promises whoever merges a job: a lease of its own, counted as attempts of a task are."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from essaim.errors import LeaseLostError
from essaim.jobs.model import MERGE, Busy, Claim, Claimed, Ended, Job, Problem, State
from essaim.jobs.ports import JobStore
from tests.conftest import eventually

Planned = Callable[..., Awaitable[Job]]
Claiming = Callable[..., Awaitable[Claimed]]
OpenStore = Callable[..., AbstractAsyncContextManager[JobStore]]

WRONG = Problem("exception", "no")


@pytest.fixture
async def unmerged(store: JobStore, planned: Planned, claimed: Claiming) -> Job:
    """A job whose two tasks have succeeded."""
    job = await planned(2)
    for number in range(2):
        await store.finish((await claimed(job, number)).claim, b"%d" % number)
    return job


async def merging(store: JobStore, job: Job, worker: str = "worker", number: int = 0) -> Claimed:
    answer = await store.claim(job.id, number, worker)
    assert isinstance(answer, Claimed), answer
    return answer


async def test_only_one_worker_merges_at_a_time(store: JobStore, unmerged: Job) -> None:
    mine = await merging(store, unmerged)
    assert mine == Claimed(Claim(unmerged.id, MERGE, 1, "worker"), None, None, failures=0, lost=0)
    for number in range(2):
        other = await store.claim(unmerged.id, number, "other")
        assert isinstance(other, Busy)
        assert other.seconds > 0


async def test_a_merge_that_beats_keeps_its_lease(store: JobStore, open_store: OpenStore, unmerged: Job) -> None:
    async with open_store(lease_seconds=0.5) as short:
        mine = (await merging(short, unmerged)).claim
    assert await store.beat(mine)  # for the long lease of this one
    other = await store.claim(unmerged.id, 0, "other")
    assert isinstance(other, Busy)
    assert other.seconds > 0.5


async def test_lost_merges_are_counted(store: JobStore, open_store: OpenStore, unmerged: Job) -> None:
    async with open_store(lease_seconds=0.1) as short:

        async def again() -> Claimed | None:
            answer = await short.claim(unmerged.id, 1, "worker")
            return answer if isinstance(answer, Claimed) else None

        found = [await eventually(again) for _ in range(3)]
    assert [(it.claim.attempt, it.lost) for it in found] == [(1, 0), (2, 1), (3, 2)]
    for late in (store.beat(found[0].claim), store.release(found[0].claim)):
        with pytest.raises(LeaseLostError):
            await late


@pytest.mark.parametrize("outcome", [b"mine", WRONG], ids=["result", "problem"])
@pytest.mark.parametrize("cancelled", [False, True], ids=["open", "cancelled"])
async def test_a_merge_that_was_claimed_again_completes_nothing(
    store: JobStore,
    open_store: OpenStore,
    unmerged: Job,
    outcome: bytes | Problem,
    cancelled: bool,
) -> None:
    async with open_store(lease_seconds=0.05) as short:
        late = (await merging(short, unmerged)).claim

        async def taken_over() -> Claimed | None:
            answer = await store.claim(unmerged.id, 1, "worker")  # by the same worker, which is no excuse
            return answer if isinstance(answer, Claimed) else None

        newer = (await eventually(taken_over)).claim
    before = await store.get(unmerged.id)
    with pytest.raises(LeaseLostError):
        await store.complete(late, outcome)
    assert await store.get(unmerged.id) == before
    assert [result async for result in store.results(unmerged.id)] == [b"0", b"1"]
    if cancelled:
        await store.cancel(unmerged.id)
        assert [await store.complete(claim, b"merged") for claim in (late, newer)] == [False, False]
        assert (await store.get(unmerged.id)).state is State.CANCELLED
    else:
        assert await store.complete(newer, b"merged")
        assert not await store.complete(late, outcome)
        assert (await store.get(unmerged.id)).result == b"merged"


async def test_a_merge_whose_lease_ran_out_completes_unless_it_was_claimed_again(
    store: JobStore, open_store: OpenStore, unmerged: Job
) -> None:
    async with open_store(lease_seconds=0) as short:
        mine = (await merging(short, unmerged)).claim
    assert await store.complete(mine, b"merged")


async def test_a_merge_that_was_given_back_begins_at_once_and_is_not_lost(store: JobStore, unmerged: Job) -> None:
    released = (await merging(store, unmerged)).claim
    await store.release(released)
    with pytest.raises(LeaseLostError):
        await store.complete(released, b"late")
    again = await merging(store, unmerged, "other")
    assert (again.claim.attempt, again.lost) == (2, 0)


async def test_a_cancelled_job_tells_its_merge_to_stop(store: JobStore, unmerged: Job) -> None:
    mine = (await merging(store, unmerged)).claim
    await store.cancel(unmerged.id)
    assert not await store.beat(mine)
    assert await store.claim(unmerged.id, 0, "other") == Ended()
    assert not await store.complete(mine, b"late")


async def test_a_retry_forgets_lost_merges_and_fences_off_those_before(
    store: JobStore, open_store: OpenStore, unmerged: Job
) -> None:
    before = (await merging(store, unmerged)).claim
    assert await store.complete(before, WRONG)
    await store.revive(unmerged.id, 2, unmerged.release)
    with pytest.raises(LeaseLostError):
        await store.beat(before)
    with pytest.raises(LeaseLostError):
        await store.complete(before, b"late")
    again = await merging(store, unmerged)
    assert (again.claim.attempt, again.claim.run, again.lost) == (2, 2, 0)
    assert (await store.get(unmerged.id)).state is State.RUNNING
