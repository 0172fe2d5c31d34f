"""What the job store promises about jobs that go from one release to another."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from essaim.errors import LeaseLostError
from essaim.jobs.model import Claim, Claimed, Ended, Job, Problem, State
from essaim.jobs.ports import JobStore

NewJob = Callable[..., Job]
Planned = Callable[..., Awaitable[Job]]
Claiming = Callable[..., Awaitable[Claimed]]
OpenStore = Callable[..., AbstractAsyncContextManager[JobStore]]

WRONG = Problem("exception", "the new release is no good")


async def succeed(store: JobStore, claimed: Callable[..., Awaitable[Claimed]], job: Job, inputs: list[bytes]) -> None:
    """Do all that workers do with a job which is not split yet."""
    assert await store.plan(job.id, job.run, inputs) == len(inputs)
    claims = [await claimed(job, number, "theirs") for number in range(len(inputs))]
    assert [one.input for one in claims] == inputs
    assert [await store.finish(one.claim, b"theirs") for one in claims][-1]
    assert [result async for result in store.results(job.id)] == [b"theirs"] * len(inputs)
    assert await store.complete((await claimed(job, 0, "theirs")).claim, b"all theirs")


@pytest.mark.parametrize("inputs", [[b"0"], [b"input 0", b"input 1", b"input 2"], [b"0", b"1", b"2", b"3"]])
async def test_a_failed_job_starts_anew_in_another_release(
    store: JobStore, planned: Planned, claimed: Claiming, inputs: list[bytes]
) -> None:
    """The same plan, a smaller or a larger one: nothing of the old one is seen again."""
    job = await planned(3)
    done, half, bad = [(await claimed(job, number)).claim for number in range(3)]
    await store.finish(done, b"ours")
    await store.beat(half, 0.5, b"half")
    await store.finish(bad, WRONG)

    revived = await store.revive(job.id, 2, "other")
    assert (revived.release, revived.state, revived.run) == ("other", State.QUEUED, 2)
    assert (revived.tasks, revived.tasks_ended, revived.progress, revived.problem) == (None, 0, 0.0, None)
    assert (revived.request, revived.created, revived.owner) == (job.request, job.created, job.owner)
    assert await store.tasks(job.id) == []
    assert await store.counts() == {"other": {State.QUEUED: 1}}
    assert [one.id for one in (await store.list(release="other")).jobs] == [job.id]
    assert (await store.list(release=job.release)).jobs == []

    first = await claimed(job, 0, "theirs")
    assert (first.claim.run, first.input, first.checkpoint) == (2, None, None)
    await store.release(first.claim)
    await succeed(store, claimed, revived, inputs)
    found = await store.get(job.id)
    assert (found.state, found.result, found.tasks, found.tasks_ended) == (
        State.SUCCEEDED,
        b"all theirs",
        len(inputs),
        len(inputs),
    )
    assert [task.state for task in await store.tasks(job.id)] == [State.SUCCEEDED] * len(inputs)
    assert await store.counts() == {"other": {State.SUCCEEDED: 1}}


async def test_what_is_open_in_the_named_release_is_taken_over(
    store: JobStore, new_job: NewJob, planned: Planned, claimed: Claiming
) -> None:
    queued, split, running = await store.submit(new_job()), await planned(2), await planned(2)
    begun = new_job()
    await store.begin(begun, "ours")
    await claimed(running)
    for job in (queued, split, running, begun):
        before = await store.get(job.id)
        assert await store.revive(job.id, 2, "other") == before
        assert await store.revive(job.id, 2, "other", taken_from="a third") == before
        assert await store.revive(job.id, 3, "other", taken_from=job.release) == before
        taken = await store.revive(job.id, 2, "other", taken_from=job.release)
        assert (taken.release, taken.state, taken.run, taken.tasks) == ("other", State.QUEUED, 2, None)
        assert await store.revive(job.id, 2, "a third", taken_from=job.release) == taken
        await succeed(store, claimed, taken, [b"0", b"1"])
    assert await store.counts() == {"other": {State.SUCCEEDED: 4}}


async def test_what_has_ended_well_is_not_taken_over(store: JobStore, new_job: NewJob, claimed: Claiming) -> None:
    done, cancelled = await store.submit(new_job()), await store.submit(new_job())
    await succeed(store, claimed, done, [b"0"])
    await store.cancel(cancelled.id)
    for job in (done, cancelled):
        before = await store.get(job.id)
        assert await store.revive(job.id, 2, "other", taken_from=job.release) == before


async def test_a_job_that_is_taken_from_its_own_release_keeps_what_it_has(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    """As where its message is lost."""
    job = await planned(2)
    await store.finish((await claimed(job, 0)).claim, b"kept")
    late = (await claimed(job, 1)).claim
    await store.beat(late, 0.5, b"half")
    taken = await store.revive(job.id, 2, job.release, taken_from=job.release)
    assert (taken.state, taken.run, taken.tasks_ended) == (State.QUEUED, 2, 1)
    with pytest.raises(LeaseLostError):
        await store.beat(late, 0.9)
    again = await claimed(job, 1)
    assert (again.claim.run, again.checkpoint) == (2, b"half")
    assert await store.finish(again.claim, b"1")


@pytest.mark.parametrize("begun", [True, False], ids=["begun", "claimed"])
async def test_an_attempt_of_the_former_release_changes_nothing(
    store: JobStore, new_job: NewJob, claimed: Claiming, begun: bool
) -> None:
    """Though its number is that of the newer one, and its worker's name too."""
    job = await store.submit(new_job())
    answer = await store.begin(job, "worker-1") if begun else await claimed(job)
    assert answer is not None
    late = answer.claim
    await store.revive(job.id, 2, "other", taken_from=job.release)
    newer = (await claimed(job)).claim
    assert (newer.attempt, newer.worker, newer.run) == (late.attempt, late.worker, 2)

    assert not await store.conclude(late, b"late")
    for writing in (store.beat(late, 0.9, b"late"), store.finish(late, b"late"), store.finish(late, WRONG)):
        with pytest.raises(LeaseLostError):
            await writing
    with pytest.raises(LeaseLostError):
        await store.release(late)
    with pytest.raises(LeaseLostError):
        await store.plan(job.id, 1, [b"late"] * 5)
    assert (await store.get(job.id)).tasks is None
    assert await store.plan(job.id, 2, [b"0"]) == 1
    assert await store.finish(newer, b"0")
    merge = (await claimed(job)).claim
    with pytest.raises(LeaseLostError):
        await store.complete(replace(merge, run=1), b"late")
    assert await store.complete(merge, b"in time")
    assert (await store.get(job.id)).result == b"in time"


async def test_a_job_can_go_there_and_back(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned(2)
    for run, release in enumerate(("other", job.release, "other"), start=2):
        for number in range(2):
            await store.finish((await claimed(job, number)).claim, b"1" if number == 0 else WRONG)
        revived = await store.revive(job.id, run, release)
        assert (revived.release, revived.tasks, await store.tasks(job.id)) == (release, None, [])
        await store.plan(job.id, run, [b"input 0", b"input 1"])
    final = await store.revive(job.id, 5, job.release, taken_from="other")
    await succeed(store, claimed, final, [b"0", b"1"])


async def test_a_job_begins_in_its_own_release_only(store: JobStore, new_job: NewJob, claimed: Claiming) -> None:
    """The same key came to two releases at the same time: both have a message, and one has the job."""
    ours = await store.submit(new_job())
    theirs = new_job(id=ours.id, release="other")
    assert await store.begin(theirs, "theirs") is None
    assert (await store.submit(theirs)).release == ours.release
    taken = await store.revive(ours.id, 2, "other", taken_from=ours.release)
    assert await store.begin(ours, "ours") is None
    assert await store.begin(theirs, "theirs") is None
    assert await store.get(ours.id) == taken
    assert (await claimed(ours)).claim == Claim(ours.id, 0, 1, "worker-1", run=2)


async def test_of_two_releases_one_gets_the_job(open_store: OpenStore, planned: Planned, claimed: Claiming) -> None:
    async with open_store() as first, open_store() as second:
        for _ in range(10):
            job = await planned(2)
            await first.finish((await claimed(job)).claim, WRONG)
            found = await asyncio.gather(first.revive(job.id, 2, "one"), second.revive(job.id, 2, "two"))
            assert {(one.release, one.run) for one in found} in ({("one", 2)}, {("two", 2)})
            assert (await first.get(job.id)) == found[0]


async def test_a_job_is_taken_over_or_ends(open_store: OpenStore, new_job: NewJob) -> None:
    async with open_store() as first, open_store() as second:
        for _ in range(20):
            job = new_job()
            begun = await first.begin(job, "ours")
            assert begun is not None
            concluded, taken = await asyncio.gather(
                first.conclude(begun.claim, b"ours"), second.revive(job.id, 2, "other", taken_from=job.release)
            )
            assert (taken.release, taken.state) == (
                (job.release, State.SUCCEEDED) if concluded else ("other", State.QUEUED)
            )
            assert await first.get(job.id) == taken


async def test_all_that_a_job_had_in_any_release_is_purged(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    job = await planned(3)
    await store.finish((await claimed(job)).claim, WRONG)
    await store.revive(job.id, 2, "other")
    cancelled = await store.cancel(job.id)
    assert cancelled.ended is not None
    assert await store.claim(job.id, 0, "worker") == Ended()
    assert await store.purge(cancelled.ended.replace(year=cancelled.ended.year + 1)) == [job.id]
    assert (await store.counts()).get("other", {}).get(State.CANCELLED, 0) == 0
