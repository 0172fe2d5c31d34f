"""What the job store promises about jobs as a whole."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest

from essaim.errors import JobNotFoundError, LeaseLostError
from essaim.jobs.model import MERGE, Claim, Claimed, Job, Problem, State
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


async def fail(store: JobStore, job: Job) -> None:
    claimed = await store.claim(job.id, 0, "worker")
    assert isinstance(claimed, Claimed)
    await store.finish(claimed.claim, WRONG)


async def test_a_submitted_job_is_stored_as_it_is(store: JobStore, open_store: OpenStore, new_job: NewJob) -> None:
    job = new_job(request={"words": ["liberté", "自由"], "deep": [{"x": [1, 2.5, None, True, ""]}]})
    assert await store.submit(job) == job
    async with open_store() as other:
        assert await other.get(job.id) == job
    assert job.state is State.QUEUED


async def test_the_trace_it_was_submitted_in_is_kept(store: JobStore, open_store: OpenStore, new_job: NewJob) -> None:
    job = await store.submit(new_job(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    async with open_store() as other:
        assert (await other.get(job.id)).traceparent == job.traceparent


async def test_a_callback_is_kept(store: JobStore, open_store: OpenStore, new_job: NewJob) -> None:
    job = await store.submit(new_job(callback="https://hooks.example.com/done?for=été"))
    assert job.callback == "https://hooks.example.com/done?for=été"
    async with open_store() as other:
        assert (await other.get(job.id)).callback == job.callback
        assert (await other.list()).jobs == [job]


async def test_any_json_is_a_request(store: JobStore, new_job: NewJob) -> None:
    job = new_job(request={"half a pair \ud800": "\udfff", "nul": "\x00", "big": 2**70, "a.b": {"$c": 1}, "": []})
    await store.submit(job)
    assert (await store.get(job.id)).request == job.request


async def test_submitting_again_gives_the_earlier_job(store: JobStore, new_job: NewJob) -> None:
    job = await store.submit(new_job())
    again = new_job(id=job.id, owner="bob", fingerprint="g" * 64, request={})
    assert await store.submit(again) == job
    await store.cancel(job.id)
    assert (await store.submit(again)).state is State.CANCELLED
    assert (await store.get(job.id)).owner == "ada"


async def test_an_unknown_job_is_not_found(store: JobStore, new_job: NewJob) -> None:
    await store.submit(new_job())
    for asking in (
        store.get("no-such-job"),
        store.tasks("no-such-job"),
        store.claim("no-such-job", 0, "worker"),
        store.plan("no-such-job", 1, [b"1"]),
        store.cancel("no-such-job"),
        store.revive("no-such-job", 2, "v1"),
    ):
        with pytest.raises(JobNotFoundError):
            await asking
    with pytest.raises(LeaseLostError):
        await store.complete(Claim("no-such-job", MERGE, 1, "worker"), b"1")


async def test_a_job_runs_from_its_first_claim_on(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned(2)
    assert (job.state, job.started, job.ended) == (State.QUEUED, None, None)
    await claimed(job)
    running = await store.get(job.id)
    assert (running.state, running.ended) == (State.RUNNING, None)
    assert running.started is not None
    await claimed(job, 1)
    assert await store.get(job.id) == running


async def test_progress_is_the_mean_over_the_tasks(store: JobStore, planned: Planned, claimed: Claiming) -> None:
    job = await planned(4)
    first, second = await claimed(job, 0), await claimed(job, 1)
    await store.beat(first.claim, 0.25)
    await store.beat(second.claim, 0.75)
    await store.beat(second.claim, 0.5)
    found = await store.get(job.id)
    assert found.progress == pytest.approx(0.75 / 4)
    assert (found.tasks, found.tasks_ended) == (4, 0)
    await store.finish(first.claim, b"1")
    found = await store.get(job.id)
    assert found.progress == pytest.approx(1.5 / 4)
    assert found.tasks_ended == 1
    assert (await store.list()).jobs == [found]


async def test_a_complete_job_has_succeeded_with_its_result(store: JobStore, planned: Planned) -> None:
    job = await planned(2)
    await succeed(store, job, b'{"counts": "libert\xc3\xa9"}')
    found = await store.get(job.id)
    assert (found.state, found.result) == (State.SUCCEEDED, b'{"counts": "libert\xc3\xa9"}')
    assert (found.progress, found.tasks_ended, found.problem) == (1.0, 2, None)
    assert found.started is not None
    assert found.ended is not None
    assert found.started <= found.ended


async def test_a_job_is_completed_once(store: JobStore, planned: Planned) -> None:
    job = await planned()
    await succeed(store, job, b"1")
    merge = Claim(job.id, MERGE, 1, "worker")
    assert not await store.complete(merge, b"2")
    assert not await store.complete(merge, WRONG)
    assert (await store.get(job.id)).result == b"1"


@pytest.mark.parametrize("outcome", [b"1", WRONG], ids=["result", "problem"])
async def test_a_job_is_not_complete_before_its_tasks_are(
    store: JobStore, new_job: NewJob, planned: Planned, claimed: Claiming, outcome: bytes | Problem
) -> None:
    unplanned = await store.submit(new_job())
    with pytest.raises(LeaseLostError):
        await store.complete(Claim(unplanned.id, MERGE, 1, "worker"), outcome)
    assert await store.get(unplanned.id) == unplanned
    job = await planned(2)
    await store.finish((await claimed(job)).claim, b"1")
    before = await store.get(job.id)
    with pytest.raises(LeaseLostError):
        await store.complete(Claim(job.id, MERGE, 1, "worker"), outcome)
    assert await store.get(job.id) == before


async def test_a_job_whose_merge_failed_can_be_merged_again(
    store: JobStore, planned: Planned, claimed: Claiming
) -> None:
    job = await planned(2)
    for number in range(2):
        await store.finish((await claimed(job, number)).claim, b"%d" % number)
    before = (await claimed(job)).claim
    assert await store.complete(before, WRONG)
    failed = await store.get(job.id)
    assert (failed.state, failed.problem, failed.result) == (State.FAILED, WRONG, None)

    await store.revive(job.id, 2, job.release)
    again = await claimed(job)
    assert again == Claimed(Claim(job.id, MERGE, 2, "worker-1", 2), None, None, 0, 0)
    assert [result async for result in store.results(job.id)] == [b"0", b"1"]
    with pytest.raises(LeaseLostError):
        await store.complete(before, b"merged in the run before")
    assert await store.complete(again.claim, b"merged")
    assert (await store.get(job.id)).result == b"merged"


async def test_jobs_are_counted_by_release_and_state(
    store: JobStore, open_store: OpenStore, new_job: NewJob, planned: Planned, claimed: Claiming
) -> None:
    assert await counts(store) == {}
    done, failed = await planned(release="r1"), await planned(release="r1")
    await claimed(await planned(release="r1"))
    await store.submit(new_job(release="r2"))
    again = new_job(release="r2")
    await store.submit(again)
    await store.submit(again)
    await succeed(store, done)
    await fail(store, failed)
    one_each = {State.RUNNING: 1, State.SUCCEEDED: 1, State.FAILED: 1}
    assert await counts(store) == {"r1": one_each, "r2": {State.QUEUED: 2}}

    await store.revive(failed.id, 2, failed.release)
    await store.cancel(again.id)
    await store.purge(datetime.now(UTC) + timedelta(hours=1))
    async with open_store() as other:
        assert await counts(other) == {"r1": {State.RUNNING: 1, State.QUEUED: 1}, "r2": {State.QUEUED: 1}}


async def counts(store: JobStore) -> dict[str, dict[State, int]]:
    """Without zeros, which a store may give or leave out."""
    found = {
        release: {state: jobs for state, jobs in states.items() if jobs}
        for release, states in (await store.counts()).items()
    }
    return {release: states for release, states in found.items() if states}
