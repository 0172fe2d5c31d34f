"""What MongoDB keeps for the next version, and what a crash between two of its documents leaves."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from essaim.errors import JobError, JobNotFoundError
from essaim.jobs.adapters.mongodb.store import open_mongodb_store
from essaim.jobs.adapters.values import stamp
from essaim.jobs.model import Claim, Claimed, Ended, Job, Problem, State, Task
from essaim.jobs.ports import JobStore

Documents = AsyncDatabase[dict[str, Any]]

YESTERDAY = Path(__file__).parents[1] / "fixtures" / "mongodb_documents.json"
OLD = "01930000-0000-7000-8000-000000000001"
WRONG = Problem("job-error", "no")


@pytest.fixture
async def store(mongodb_url: str) -> AsyncIterator[JobStore]:
    async with open_mongodb_store(mongodb_url, 300) as opened:
        yield opened


@pytest.fixture
async def documents(store: JobStore, mongodb_url: str) -> AsyncIterator[Documents]:
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        yield client.get_default_database()


@pytest.fixture
async def yesterday(documents: Documents) -> None:
    """More fields than this version knows, and fewer than it writes."""
    for collection, found in json.loads(YESTERDAY.read_text()).items():
        await documents[collection].insert_many(found)
    await documents.workers.update_many({}, {"$set": {"seen": stamp()}})  # one seen in the future would be dead


@pytest.mark.usefixtures("yesterday")
async def test_yesterdays_jobs_and_workers_are_read(store: JobStore) -> None:
    failed, queued, running = (await store.list()).jobs
    assert running == Job(
        *(OLD, "ada", "r1", {"words": ["liberté"]}, "ff", datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        state=State.RUNNING,
        run=2,
        started=datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
        tasks=3,
        tasks_ended=1,
        progress=0.5,
    )
    assert (queued.state, queued.tasks, queued.progress) == (State.QUEUED, None, 0.0)
    assert (failed.state, failed.problem) == (State.FAILED, WRONG)
    assert await store.get(OLD) == running
    assert [worker.id for worker in await store.workers()] == ["w1"]
    assert await store.counts() == {"r1": {State.RUNNING: 1, State.QUEUED: 1}, "r2": {State.FAILED: 1}}


@pytest.mark.usefixtures("yesterday")
async def test_yesterdays_tasks_are_read_and_run_on(store: JobStore, documents: Documents) -> None:
    done, left_open, queued = await store.tasks(OLD)
    assert (done.state, done.attempts) == (State.SUCCEEDED, 1)
    assert left_open == Task(OLD, 1, State.QUEUED, attempts=4, progress=0.5)  # by the first run
    assert queued == Task(OLD, 2, State.QUEUED)
    claimed = await store.claim(OLD, 1, "w2")
    assert claimed == Claimed(Claim(OLD, 1, 5, "w2", run=2), b'{"part": 1}', b"half", failures=0, lost=0)
    second = await store.claim(OLD, 2, "w2")
    assert isinstance(second, Claimed)
    assert [await store.finish(one.claim, b"{}") for one in (claimed, second)] == [False, True]
    assert [result async for result in store.results(OLD)] == [b'{"found": 1}', b"{}", b"{}"]
    merge = await store.claim(OLD, 2, "w2")
    assert isinstance(merge, Claimed)
    assert await store.complete(merge.claim, b"merged")
    kept = await documents.jobs.find_one({"_id": OLD})
    assert kept is not None
    assert (kept["priority"], kept["labels"]) == (7, {"team": "archive"})


async def test_a_claim_that_did_not_reach_the_job_is_put_right(
    store: JobStore, documents: Documents, planned: Callable[..., Awaitable[Job]]
) -> None:
    job = await planned(2)
    await store.claim(job.id, 0, "w1")
    await documents.jobs.update_one({"_id": job.id}, {"$set": {"state": "queued", "started": None}})
    assert isinstance(await store.claim(job.id, 1, "w2"), Claimed)
    assert (await store.get(job.id)).state is State.RUNNING


async def test_a_failure_that_did_not_reach_the_job_is_put_right(
    store: JobStore, documents: Documents, planned: Callable[..., Awaitable[Job]]
) -> None:
    job = await planned(2)
    claimed = await store.claim(job.id, 0, "w1")
    assert isinstance(claimed, Claimed)
    await store.finish(claimed.claim, WRONG)
    before = {"state": "running", "problem": None, "ended": None, "progress": None}
    for again in (lambda: store.claim(job.id, 0, "w2"), lambda: store.finish(claimed.claim, WRONG)):
        await documents.jobs.update_one({"_id": job.id}, {"$set": before})
        assert await again() in (Ended(), False)
        failed = await store.get(job.id)
        assert (failed.state, failed.problem) == (State.FAILED, WRONG)
        assert [task.state for task in await store.tasks(job.id)] == [State.FAILED, State.CANCELLED]


async def test_what_an_unfinished_plan_left_is_no_task(
    store: JobStore, documents: Documents, new_job: Callable[..., Job]
) -> None:
    job = await store.submit(new_job())
    await store.plan(job.id, 1, [b"a", b"b", b"c", b"d"])
    await documents.jobs.update_one({"_id": job.id}, {"$set": {"tasks": None, "plan": None}})
    assert await store.plan(job.id, 1, [b"x", b"y"]) == 2
    assert [task.number for task in await store.tasks(job.id)] == [0, 1]
    claims = [await store.claim(job.id, number, "w1") for number in range(2)]
    assert [claimed.input for claimed in claims if isinstance(claimed, Claimed)] == [b"x", b"y"]
    assert [await store.finish(claimed.claim, b"1") for claimed in claims if isinstance(claimed, Claimed)][-1]
    assert (await store.get(job.id)).tasks_ended == 2
    merge = await store.claim(job.id, 0, "w1")
    assert isinstance(merge, Claimed)
    assert await store.complete(merge.claim, b"2")
    await store.purge(datetime.now(UTC) + timedelta(hours=1))
    assert await documents.tasks.count_documents({}) == 0


async def test_a_purge_goes_on_where_another_stopped(
    store: JobStore, documents: Documents, planned: Callable[..., Awaitable[Job]]
) -> None:
    job = await planned(2)
    claimed = await store.claim(job.id, 0, "w1")
    assert isinstance(claimed, Claimed)
    await store.finish(claimed.claim, WRONG)
    await documents.jobs.update_one({"_id": job.id}, {"$set": {"purged": True}})
    await documents.tasks.delete_many({})
    assert (await store.revive(job.id, 2, job.release)).state is State.FAILED  # its tasks are gone
    assert await store.purge(datetime.now(UTC) + timedelta(hours=1)) == [job.id]
    with pytest.raises(JobNotFoundError):
        await store.get(job.id)


async def test_what_no_document_can_hold_fails_its_job(store: JobStore, planned: Callable[..., Awaitable[Job]]) -> None:
    job = await planned()
    claimed = await store.claim(job.id, 0, "w1")
    assert isinstance(claimed, Claimed)
    with pytest.raises(JobError, match="16 MB"):
        await store.beat(claimed.claim, 0.5, b"x" * (17 * 1024 * 1024))
    assert await store.beat(claimed.claim, 0.5)


async def test_documents_can_be_read_by_a_person(
    store: JobStore, documents: Documents, planned: Callable[..., Awaitable[Job]]
) -> None:
    job = await planned(2)
    claimed = await store.claim(job.id, 1, "w1")
    assert isinstance(claimed, Claimed)
    await store.finish(claimed.claim, '{"word": "liberté"}'.encode())
    found = await documents.tasks.find_one({"number": 1})
    assert found is not None
    assert (found["input"], found["result"], found["state"]) == ("input 1", '{"word": "liberté"}', "succeeded")
    assert found["_id"].startswith(f"{job.id}/00000001")
