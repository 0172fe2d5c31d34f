"""What the job store promises about who is at work."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from essaim.jobs.model import Worker
from essaim.jobs.ports import JobStore
from tests.conftest import eventually

OpenStore = Callable[..., AbstractAsyncContextManager[JobStore]]


def worker(worker_id: str, *, age: float = 0.0) -> Worker:
    now = datetime.now(UTC)
    return Worker(worker_id, "r1", started=now - timedelta(seconds=age), seen=now, concurrency=2)


async def test_a_worker_that_reports_is_listed_as_it_said(store: JobStore, open_store: OpenStore) -> None:
    reported = replace(worker("é-1"), tasks=("job/0", "job/1"))
    await store.report(reported)
    async with open_store() as other:
        assert await other.workers() == [reported]


async def test_the_last_report_counts(store: JobStore) -> None:
    first = worker("one")
    await store.report(first)
    latest = replace(first, seen=datetime.now(UTC), tasks=("job/7",))
    await store.report(latest)
    assert await store.workers() == [latest]


async def test_workers_come_oldest_first(store: JobStore) -> None:
    reported = [worker("young", age=1), worker("old", age=100), worker("middle", age=10)]
    for one in reported:
        await store.report(one)
    assert [one.id for one in await store.workers()] == ["old", "middle", "young"]


async def test_a_worker_seen_in_the_future_has_not_reported_since_the_clock_was_set_back(store: JobStore) -> None:
    alive = worker("alive")
    await store.report(alive)
    await store.report(replace(worker("died"), seen=datetime.now(UTC) + timedelta(minutes=10)))
    assert await store.workers() == [alive]


async def test_a_worker_that_has_left_is_gone_at_once(store: JobStore) -> None:
    leaving, staying = worker("leaving"), worker("staying")
    await store.report(leaving)
    await store.report(staying)
    await store.report(leaving, gone=True)
    await store.report(worker("never seen"), gone=True)
    assert await store.workers() == [staying]


async def test_a_silent_worker_is_gone_after_the_lease_time(open_store: OpenStore) -> None:
    async with open_store(lease_seconds=0.3) as short, open_store(lease_seconds=300) as long:
        await short.report(worker("silent"))

        async def gone() -> bool:
            return not await short.workers()

        assert await eventually(gone)
        assert [one.id for one in await long.workers()] == ["silent"]
        await short.report(worker("silent"))
        assert [one.id for one in await long.workers()] == ["silent"]
