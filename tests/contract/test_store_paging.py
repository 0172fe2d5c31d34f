"""What the job store promises about lists of jobs."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import uuid4

import pytest

from essaim.errors import CursorInvalidError
from essaim.jobs.model import Claimed, Job, Problem, State
from essaim.jobs.ports import JobStore

NewJob = Callable[..., Job]
Planned = Callable[..., Awaitable[Job]]
Claiming = Callable[..., Awaitable[Claimed]]

START = datetime(2026, 1, 1, tzinfo=UTC)


async def ids_of_all(
    store: JobStore, limit: int, states: tuple[State, ...] = (), release: str | None = None
) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await store.list(states=states, release=release, limit=limit, cursor=cursor)
        assert len(page.jobs) <= limit
        found += [job.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.fixture
async def jobs(store: JobStore, new_job: NewJob) -> list[Job]:
    """Of two releases, several created at the same moment, in every state; newest first."""
    submitted = []
    for number, (release, state) in enumerate(product(("r1", "r2"), (*State, *State))):
        job = await store.submit(new_job(created=START + timedelta(seconds=number // 3), release=release))
        await _bring(store, job, state)
        submitted.append(await store.get(job.id))
    return sorted(submitted, key=lambda job: (job.created, job.id), reverse=True)


async def _bring(store: JobStore, job: Job, state: State) -> None:
    if state is State.CANCELLED:
        await store.cancel(job.id)
    elif state is not State.QUEUED:
        await store.plan(job.id, 1, [b"1"])
        claimed = await store.claim(job.id, 0, "worker")
        assert isinstance(claimed, Claimed)
        if state is State.SUCCEEDED:
            await store.finish(claimed.claim, b"1")
            merge = await store.claim(job.id, 0, "worker")
            assert isinstance(merge, Claimed)
            await store.complete(merge.claim, b"the result")
        elif state is State.FAILED:
            await store.finish(claimed.claim, Problem("exception", "no"))


async def test_no_jobs_are_one_empty_page(store: JobStore) -> None:
    page = await store.list()
    assert (page.jobs, page.cursor) == ([], None)


async def test_jobs_come_newest_first_whatever_the_page(store: JobStore, jobs: list[Job]) -> None:
    newest_first = [job.id for job in jobs]
    for limit in (1, 3, 7, len(jobs) - 1, len(jobs), 100):
        assert await ids_of_all(store, limit) == newest_first


async def test_jobs_of_the_same_moment_are_each_on_one_page(store: JobStore, new_job: NewJob) -> None:
    submitted = [await store.submit(new_job(id=str(uuid4()), created=START)) for _ in range(20)]
    wanted = sorted((job.id for job in submitted), reverse=True)
    for limit in (3, 10, 20):
        assert await ids_of_all(store, limit) == wanted


async def test_a_list_shows_jobs_as_they_are_but_for_results(store: JobStore, jobs: list[Job]) -> None:
    listed = (await store.list(limit=100)).jobs
    assert [job.result for job in listed] == [None] * len(jobs)
    assert [job.state for job in listed] == [job.state for job in jobs]
    for job, shown in zip(jobs, listed, strict=True):
        assert (shown.request, shown.progress, shown.problem, shown.tasks) == (
            job.request,
            job.progress,
            job.problem,
            job.tasks,
        )
    assert any(job.result for job in jobs)


@pytest.mark.parametrize("release", [None, "r1", "r2", "r3"])
async def test_a_list_can_be_narrowed_in_every_way(store: JobStore, jobs: list[Job], release: str | None) -> None:
    choices: list[tuple[State, ...]] = [(), *((state,) for state in State), (State.QUEUED, State.RUNNING), tuple(State)]
    for states in choices:
        wanted = [
            job.id
            for job in jobs
            if (not states or job.state in states) and (release is None or job.release == release)
        ]
        assert await ids_of_all(store, 4, states, release) == wanted
        assert await ids_of_all(store, 100, states, release) == wanted


async def test_new_jobs_do_not_disturb_a_reader(store: JobStore, jobs: list[Job], new_job: NewJob) -> None:
    found: list[str] = []
    cursor = None
    while True:
        page = await store.list(limit=3, cursor=cursor)
        found += [job.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break
        await store.submit(new_job(created=START + timedelta(days=1)))
    assert found == [job.id for job in jobs]


async def test_a_cursor_outlives_the_job_it_was_made_at(store: JobStore, new_job: NewJob) -> None:
    oldest, middle, newest = [await store.submit(new_job()) for _ in range(3)]
    page = await store.list(limit=2)
    assert [job.id for job in page.jobs] == [newest.id, middle.id]
    await store.cancel(middle.id)
    await store.purge(datetime.now(UTC) + timedelta(hours=1))
    assert [job.id for job in (await store.list(limit=2, cursor=page.cursor)).jobs] == [oldest.id]


@pytest.mark.parametrize(
    "cursor", ["", "x", "%%%", "é", "W10", "WzEsMl0", "bnVsbA", "e30", "WyJ4IiwieSJd", "\x00", "A" * 5000, "../../x"]
)
async def test_a_foreign_cursor_is_refused(store: JobStore, jobs: list[Job], cursor: str) -> None:
    with pytest.raises(CursorInvalidError):
        await store.list(cursor=cursor)
