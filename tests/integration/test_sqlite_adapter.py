"""What SQLite promises beyond the contract: all or nothing, and a clear word when the file cannot be used."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cloudevents.core.v1.event import CloudEvent

from essaim.errors import QueueFullError, UnavailableError
from essaim.jobs.adapters.sqlite.database import open_database
from essaim.jobs.adapters.sqlite.queue import open_sqlite_queue
from essaim.jobs.adapters.sqlite.store import open_sqlite_store
from essaim.jobs.events import JobRetried, from_event, to_event
from essaim.jobs.model import Depth, Job, State, Worker
from essaim.jobs.ports import Delivery
from tests.conftest import eventually


def a_job(job_id: str = "job-1") -> Job:
    return Job(job_id, "ada", "r1", {"words": ["liberté"]}, "f" * 64, datetime.now(UTC))


async def test_of_many_messages_all_are_taken_or_none(tmp_path: Path) -> None:
    async with open_sqlite_queue(f"sqlite:///{tmp_path}/essaim.db", "r1", 10) as queue:
        events = [to_event(JobRetried("job-1", run), "r1") for run in range(6)]
        await queue.publish(events)
        with pytest.raises(QueueFullError, match="10"):
            await queue.publish(events)
        assert await queue.depth() == Depth(ready=6, in_flight=0)
        async with queue.deliveries(6) as deliveries:
            await anext(deliveries)
            await (await anext(deliveries)).retry(100)
            with pytest.raises(QueueFullError):  # what is in flight or delayed counts too
                await queue.publish(events[:5])
            await queue.publish(events[:4])


async def test_a_closed_queue_says_so(tmp_path: Path) -> None:
    async with open_sqlite_queue(f"sqlite:///{tmp_path}/essaim.db", "r1", 10) as queue:
        await queue.publish([to_event(JobRetried("job-1", 2), "r1")])
        async with queue.deliveries(1) as deliveries:
            delivery = await anext(deliveries)
    for late in (delivery.ack(), queue.depth(), queue.publish([])):
        with pytest.raises(UnavailableError, match="closed"):
            await late


async def test_a_delivery_that_could_not_be_settled_comes_back(tmp_path: Path) -> None:
    """Or its consumer would hold it as long as it lives, and take no other."""
    path = tmp_path / "essaim.db"
    async with open_sqlite_queue(f"sqlite:///{path}", "r1", 10) as queue, queue.deliveries(1) as deliveries:
        await queue.publish([to_event(JobRetried("job-1", 2), "r1")])
        delivery = await anext(deliveries)
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE messages RENAME TO elsewhere")
            with pytest.raises(UnavailableError, match=r"essaim\.db"):
                await delivery.ack()
            other.execute("ALTER TABLE elsewhere RENAME TO messages")
        again = await asyncio.wait_for(anext(deliveries), 60)
        assert from_event(again.event) == JobRetried("job-1", 2)
        await again.ack()
        assert await queue.depth() == Depth(ready=0, in_flight=0)


async def test_what_a_consumer_held_is_free_when_the_clock_was_set_back_after_it_died(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    ahead = (datetime.now(UTC) + timedelta(minutes=10)).isoformat(timespec="microseconds")
    async with open_sqlite_queue(f"sqlite:///{path}", "r1", 10) as queue:
        await queue.publish([to_event(JobRetried("job-1", 2), "r1")])
        _rows(path, f"INSERT INTO consumers (id, seen) VALUES ('died', '{ahead}')")
        _rows(path, "UPDATE messages SET consumer = 'died'")
        assert await queue.depth() == Depth(ready=1, in_flight=0)
        async with queue.deliveries(1) as deliveries:
            again = await asyncio.wait_for(anext(deliveries), 60)
            assert from_event(again.event) == JobRetried("job-1", 2)
        assert _rows(path, "SELECT id FROM consumers WHERE id = 'died'") == []


async def test_a_delay_that_began_in_the_future_is_over(tmp_path: Path) -> None:
    """The clock was set back, and the delay would last that much longer."""
    path = tmp_path / "essaim.db"
    async with open_sqlite_queue(f"sqlite:///{path}", "r1", 10) as queue:
        await queue.publish([to_event(JobRetried("job-1", 2), "r1")], delay=60)
        await queue.publish([to_event(JobRetried("job-1", 3), "r1")], delay=60)
        assert await queue.depth() == Depth(ready=0, in_flight=0)
        now = datetime.now(UTC)
        delayed, due = ((now + timedelta(minutes=minutes)).isoformat(timespec="microseconds") for minutes in (10, 11))
        async with queue.deliveries(1) as deliveries:
            waiting = asyncio.ensure_future(anext(deliveries))
            _rows(path, f"UPDATE messages SET delayed = '{delayed}', due = '{due}' WHERE id = 1")
            again = await asyncio.wait_for(waiting, 60)
            assert from_event(again.event) == JobRetried("job-1", 2)
            assert await queue.depth() == Depth(ready=0, in_flight=1)


async def test_closing_gives_back_what_is_unsettled_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/essaim.db"
    async with open_sqlite_queue(url, "r1", 10) as observer:
        await observer.publish([to_event(JobRetried("job-1", run), "r1") for run in range(3)])
        async with open_sqlite_queue(url, "r1", 10) as queue, queue.deliveries(2) as deliveries:
            await anext(deliveries)
            await anext(deliveries)
            assert await observer.depth() == Depth(ready=1, in_flight=2)
        assert await observer.depth() == Depth(ready=3, in_flight=0)


async def test_a_message_in_hand_stays_there_while_its_consumer_lives(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    async with open_sqlite_queue(f"sqlite:///{path}", "r1", 10) as queue, queue.deliveries(1) as deliveries:
        await queue.publish([to_event(JobRetried("job-1", 2), "r1")])
        delivery = await anext(deliveries)
        for _ in range(2):
            seen = _rows(path, "SELECT seen FROM consumers")
            await eventually(lambda seen=seen: _rows(path, "SELECT seen FROM consumers") != seen)
        assert await queue.depth() == Depth(ready=0, in_flight=1)
        await delivery.ack()
        assert await queue.depth() == Depth(ready=0, in_flight=0)


@pytest.mark.parametrize(
    "settle",
    [
        pytest.param(lambda delivery: delivery.ack(), id="ack"),
        pytest.param(lambda delivery: delivery.release(), id="release"),
        pytest.param(lambda delivery: delivery.retry(0), id="retry"),
        pytest.param(lambda delivery: delivery.park("late"), id="park"),
    ],
)
async def test_a_consumer_that_the_others_gave_up_settles_nothing_old(
    tmp_path: Path, settle: Callable[[Delivery], Awaitable[None]]
) -> None:
    path = tmp_path / "essaim.db"
    async with open_sqlite_queue(f"sqlite:///{path}", "r1", 10) as queue, queue.deliveries(2) as deliveries:
        await queue.publish([to_event(JobRetried("job-1", 2), "r1")])
        old = await anext(deliveries)
        _rows(path, "DELETE FROM consumers")
        new = await anext(deliveries)
        await settle(old)
        assert (await queue.depth(), await queue.dead_letters()) == (Depth(ready=0, in_flight=1), [])
        await new.ack()
        assert await queue.depth() == Depth(ready=0, in_flight=0)


async def test_what_is_parked_during_a_replay_waits_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    async with open_sqlite_queue(f"sqlite:///{path}", "r1", 100) as queue:
        await queue.publish([to_event(JobRetried("job-1", 2), "r1")])
        async with queue.deliveries(1) as deliveries:
            await (await anext(deliveries)).park("first")

        def revise(event: CloudEvent) -> CloudEvent:
            _rows(path, "INSERT INTO dead_letters (release, reason, parked, body) VALUES ('r1', 'second', '2026', '')")
            return event

        assert await queue.replay(None, revise) == 1
        assert _rows(path, "SELECT reason FROM dead_letters") == [("second",)]


async def test_workers_that_vanished_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    now = datetime.now(UTC)
    async with open_sqlite_store(f"sqlite:///{path}", 15.0) as store:
        await store.report(Worker("vanished", "r1", now, now - timedelta(hours=1), 1))
        await store.report(Worker("alive", "r1", now, now, 1))
        assert _rows(path, "SELECT id FROM workers") == [("alive",)]


def _rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What another process sees and does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA foreign_keys = ON")
        return other.execute(sql).fetchall()


async def test_a_cancelled_caller_leaves_no_transaction_open(tmp_path: Path) -> None:
    async with open_sqlite_store(f"sqlite:///{tmp_path}/essaim.db", 15.0) as store:
        for number in range(100):
            task = asyncio.create_task(store.submit(a_job(f"job-{number}")))
            await asyncio.sleep(0.0001 * (number % 10))
            task.cancel()
        await store.submit(a_job("last"))
        listed = (await store.list(limit=200)).jobs
        assert "last" in {job.id for job in listed}
        assert await store.counts() == {"r1": {State.QUEUED: len(listed)}}


async def test_what_is_committed_together_fails_apart(tmp_path: Path) -> None:
    """The one that raises is undone, and nobody else."""
    async with open_database(f"sqlite:///{tmp_path}/essaim.db") as database:

        def write(db: sqlite3.Connection, number: int) -> int:
            db.execute("INSERT INTO consumers (id, seen) VALUES (?, '')", (str(number),))
            if number % 3 == 1:
                raise QueueFullError(str(number))
            return number

        answers = await asyncio.gather(
            *(database.write(write, number, durable=number == 4) for number in range(10)), return_exceptions=True
        )
        assert [answer for answer in answers if isinstance(answer, int)] == [0, 2, 3, 5, 6, 8, 9]
        assert [str(answer) for answer in answers if isinstance(answer, QueueFullError)] == ["1", "4", "7"]
        rows = await database.read(lambda db: db.execute("SELECT id FROM consumers ORDER BY id").fetchall())
        assert [row["id"] for row in rows] == ["0", "2", "3", "5", "6", "8", "9"]


async def test_reads_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "essaim.db"
    async with open_sqlite_store(f"sqlite:///{path}", 15.0) as store:
        job = await store.submit(a_job())
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(store.cancel(job.id))
            assert await store.get(job.id) == job
            assert (await store.list()).jobs == [job]
            assert not waiting.done()
            other.execute("COMMIT")
        assert (await waiting).state is State.CANCELLED
