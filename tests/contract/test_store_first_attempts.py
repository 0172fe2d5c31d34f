"""What the job store promises about the short way that most jobs take: one task, which is claimed once and succeeds."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from essaim.errors import LeaseLostError
from essaim.jobs.model import MERGE, Busy, Claim, Claimed, Ended, Job, Problem, State
from essaim.jobs.ports import JobStore
from tests.conftest import eventually

NewJob = Callable[..., Job]
OpenStore = Callable[..., AbstractAsyncContextManager[JobStore]]

WRONG = Problem("exception", "no")


async def begun(store: JobStore, job: Job, worker: str = "worker-1") -> Claim:
    claimed = await store.begin(job, worker)
    assert claimed == Claimed(Claim(job.id, 0, 1, worker), input=None, checkpoint=None, failures=0, lost=0)
    return claimed.claim


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "unknown"])
async def test_a_job_begins_and_ends(store: JobStore, new_job: NewJob, stored: bool) -> None:
    job = new_job()
    if stored:
        await store.submit(job)
    claim = await begun(store, job)
    running = await store.get(job.id)
    assert (running.state, running.tasks, running.progress, running.request) == (State.RUNNING, None, 0.0, job.request)
    assert running.started is not None
    [task] = await store.tasks(job.id)
    assert (task.state, task.attempts, task.worker, task.progress) == (State.RUNNING, 1, "worker-1", 0.0)
    assert task.lease_until is not None
    assert await store.tasks(job.id, states=[State.QUEUED]) == []

    assert await store.conclude(claim, b'{"counts": {}}')
    done = await store.get(job.id)
    assert (done.state, done.tasks, done.tasks_ended, done.progress) == (State.SUCCEEDED, 1, 1, 1.0)
    assert (done.result, done.problem, done.run) == (b'{"counts": {}}', None, 1)
    assert done.ended is not None
    [task] = await store.tasks(job.id, states=[State.SUCCEEDED])
    assert (task.state, task.attempts, task.worker, task.progress) == (State.SUCCEEDED, 1, "worker-1", 1.0)
    assert task.ended is not None
    assert task.lease_until is None
    assert await store.tasks(job.id, after=0) == []
    assert await store.claim(job.id, 0, "worker-2") == Ended()
    assert not await store.complete(Claim(job.id, MERGE, 1, "worker-1"), b"again")
    assert await store.submit(job) == done
    assert [listed.id for listed in (await store.list(states=[State.SUCCEEDED])).jobs] == [job.id]


async def test_only_one_begins(open_store: OpenStore, store: JobStore, new_job: NewJob) -> None:
    async with open_store() as other:
        for stored in (True, False):
            job = new_job()
            if stored:
                await store.submit(job)
            racing = [one.begin(job, f"worker-{number}") for number, one in enumerate([store, other] * 4)]
            assert len([claimed for claimed in await asyncio.gather(*racing) if claimed is not None]) == 1
            assert (await store.tasks(job.id))[0].attempts == 1


async def test_many_begin_and_end_at_once_each_for_itself(
    open_store: OpenStore, store: JobStore, new_job: NewJob
) -> None:
    """Stored or not, taken by somebody else or cancelled: none is mistaken for its neighbour."""
    jobs = [new_job() for _ in range(40)]
    async with open_store() as other:
        await asyncio.gather(*(store.submit(job) for job in jobs[10:]))
        await asyncio.gather(*(other.begin(job, "other") for job in jobs[20:30]))
        await asyncio.gather(*(other.cancel(job.id) for job in jobs[30:]))
    claims = await asyncio.gather(*(store.begin(job, "worker-1") for job in jobs))
    assert [claimed is not None for claimed in claims] == [True] * 20 + [False] * 20
    for job in jobs[:5]:
        await store.cancel(job.id)
    asked = [claimed.claim for claimed in claims if claimed]
    ended = await asyncio.gather(*(store.conclude(claim, claim.job_id.encode()) for claim in asked))
    assert ended == [False] * 5 + [True] * 15
    found = [await store.get(job.id) for job in jobs]
    assert [job.result for job in found[5:20]] == [job.id.encode() for job in jobs[5:20]]
    assert [job.state for job in found[:5] + found[20:]] == (
        [State.CANCELLED] * 5 + [State.RUNNING] * 10 + [State.CANCELLED] * 10
    )


async def test_what_was_touched_does_not_begin(store: JobStore, new_job: NewJob) -> None:
    claimed, planned, cancelled, failed = [await store.submit(new_job()) for _ in range(4)]
    await store.claim(claimed.id, 0, "worker-1")
    await store.plan(planned.id, 1, [b"1"])
    await store.cancel(cancelled.id)
    await store.finish(await begun(store, failed), WRONG)
    await store.revive(failed.id, 2, failed.release)
    assert [await store.begin(job, "worker-2") for job in (claimed, planned, cancelled, failed)] == [None] * 4
    assert (await store.get(failed.id)).state is State.QUEUED


async def test_a_begun_task_is_busy(store: JobStore, new_job: NewJob) -> None:
    job = new_job()
    claim = await begun(store, job)
    assert await store.begin(job, "worker-1") is None
    answer = await store.claim(job.id, 0, "worker-2")
    assert isinstance(answer, Busy)
    assert answer.seconds > 100
    assert await store.beat(claim, 0.5)


async def test_a_begun_task_takes_the_long_way_like_any_other(store: JobStore, new_job: NewJob) -> None:
    job = new_job()
    claim = await begun(store, job)
    assert await store.plan(job.id, 1, [b"input"]) == 1
    assert await store.beat(claim, 0.5, b"half")
    assert (await store.get(job.id)).progress == 0.5
    assert not await store.conclude(claim, b"1")
    assert await store.finish(claim, b"1")
    assert [result async for result in store.results(job.id)] == [b"1"]
    merge = await store.claim(job.id, 0, "worker-1")
    assert isinstance(merge, Claimed)
    assert await store.complete(merge.claim, b"2")
    assert (await store.get(job.id)).result == b"2"


async def test_a_begun_job_may_turn_out_to_have_several_tasks(store: JobStore, new_job: NewJob) -> None:
    job = new_job()
    claim = await begun(store, job)
    assert await store.plan(job.id, 1, [b"0", b"1", b"2"]) == 3
    assert not await store.conclude(claim, b"1")
    await store.release(claim)
    assert [task.state for task in await store.tasks(job.id)] == [State.QUEUED] * 3
    claims = [await store.claim(job.id, number, "worker-2") for number in range(3)]
    assert [claimed.input for claimed in claims if isinstance(claimed, Claimed)] == [b"0", b"1", b"2"]


async def test_a_begun_task_fails_its_job(store: JobStore, new_job: NewJob) -> None:
    job = new_job()
    claim = await begun(store, job)
    await store.finish(claim, WRONG)
    failed = await store.get(job.id)
    assert (failed.state, failed.problem) == (State.FAILED, WRONG)
    assert not await store.conclude(claim, b"1")
    assert (await store.tasks(job.id))[0].problem == WRONG


async def test_a_begun_task_that_is_released_is_free(store: JobStore, new_job: NewJob) -> None:
    job = new_job()
    claim = await begun(store, job)
    await store.release(claim, WRONG)
    again = await store.claim(job.id, 0, "worker-2")
    assert isinstance(again, Claimed)
    assert (again.claim.attempt, again.failures, again.lost) == (2, 1, 0)
    assert not await store.conclude(claim, b"late")


async def test_a_late_attempt_ends_nothing(open_store: OpenStore, new_job: NewJob) -> None:
    job = new_job()
    async with open_store(lease_seconds=0.05) as store:
        late = await begun(store, job)

        async def taken_over() -> Claim | None:
            answer = await store.claim(job.id, 0, "worker-1")  # by the same worker, which is no excuse
            return answer.claim if isinstance(answer, Claimed) else None

        newer = await eventually(taken_over)
    async with open_store() as store:
        assert newer.attempt == 2
        assert not await store.conclude(late, b"late")
        with pytest.raises(LeaseLostError):
            await store.finish(late, b"late")
        assert (await store.get(job.id)).state is State.RUNNING
        await store.plan(job.id, 1, [b"input"])
        assert await store.finish(newer, b"new")
        assert not await store.conclude(late, b"late")
        merge = await store.claim(job.id, 0, "worker-1")
        assert isinstance(merge, Claimed)
        assert await store.complete(merge.claim, b"newest")
        assert not await store.conclude(late, b"late")
        assert (await store.get(job.id)).result == b"newest"


async def test_a_cancelled_job_is_not_concluded(store: JobStore, new_job: NewJob) -> None:
    job = new_job()
    claim = await begun(store, job)
    await store.cancel(job.id)
    assert not await store.conclude(claim, b"1")
    assert not await store.beat(claim, 0.5)
    cancelled = await store.get(job.id)
    assert (cancelled.state, cancelled.result) == (State.CANCELLED, None)
    assert (await store.tasks(job.id))[0].state is State.CANCELLED


async def test_concluding_twice_is_concluding_once(store: JobStore, new_job: NewJob) -> None:
    """A worker that did not hear the answer asks again."""
    claim = await begun(store, new_job())
    assert [await store.conclude(claim, b"1") for _ in range(2)] == [True, True]
    ended = (await store.get(claim.job_id)).ended
    assert await store.conclude(claim, b"2")
    found = await store.get(claim.job_id)
    assert (found.result, found.ended) == (b"1", ended)
