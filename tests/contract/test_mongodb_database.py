"""What MongoDB promises beyond the contract: queries that an index serves, and a clear word when it cannot be used."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from essaim.errors import SettingsError, UnavailableError
from essaim.jobs.adapters.mongodb.database import JOB_INDEXES, TASK_INDEXES, Database
from essaim.jobs.adapters.mongodb.store import MongoStore, open_mongodb_store
from essaim.jobs.model import Claimed, Job, Problem, State
from essaim.jobs.ports import JobStore

INDEXES = {"jobs": JOB_INDEXES, "tasks": TASK_INDEXES}


class Commands(CommandListener):
    """What was asked of a server."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.seen.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def asked(command: dict[str, Any]) -> tuple[str, dict[str, Any], Sequence[str]] | None:
    """The collection, the conditions and the order of a query; None for what asks nothing."""
    match command:
        case {"find": name, **rest}:
            return name, rest.get("filter", {}), list(rest.get("sort", {}))
        case {"aggregate": name, "pipeline": [{"$match": conditions}, *_]}:
            return name, conditions, []
        case {"aggregate": name, "pipeline": [{"$sort": order}, *_]}:
            return name, {}, list(order)
        case {"aggregate": name}:
            return name, {}, []
        case {"update": name, "updates": [{"q": conditions}]} | {"delete": name, "deletes": [{"q": conditions}]}:
            return name, conditions, []
    return None


def is_served(collection: str, conditions: dict[str, Any], order: Sequence[str]) -> bool:
    """By the index of ids, or by another one: conditions on its first keys, then the order."""
    if "_id" in conditions and order in ([], ["_id"]):
        return True
    for keys in INDEXES[collection].values():
        first = 0
        while first < len(keys) and keys[first] in conditions and keys[first] not in order:
            first += 1
        if list(keys[first : first + len(order)]) == order and (first or order):
            return True
    return False


async def live(store: JobStore, new_job: Callable[..., Job]) -> None:
    """Everything that a store can be asked."""
    for tasks in (1, 3):
        job = await store.submit(new_job())
        await store.submit(job)
        claims = [await store.claim(job.id, 0, "w1")]
        await store.plan(job.id, 1, [b"1"] * tasks)
        claims += [await store.claim(job.id, number, "w1") for number in range(1, tasks)]
        for answer in claims:
            assert isinstance(answer, Claimed)
            await store.beat(answer.claim, 0.5, b"half")
            await store.get(job.id)
            await store.finish(answer.claim, b"1")
        assert [result async for result in store.results(job.id)] == [b"1"] * tasks
        merge = await store.claim(job.id, 0, "w1")
        assert isinstance(merge, Claimed)
        assert await store.complete(merge.claim, b"1")
    other = await store.submit(new_job())
    first = await store.claim(other.id, 0, "w1")
    assert isinstance(first, Claimed)
    await store.release(first.claim, Problem("exception", "no"))
    again = await store.claim(other.id, 0, "w1")
    assert isinstance(again, Claimed)
    await store.finish(again.claim, Problem("exception", "no"))
    await store.revive(other.id, 2, other.release)
    for states in ((), (State.QUEUED,), (State.QUEUED, State.RUNNING), tuple(State)):
        await store.tasks(job.id, states=states)
        for release in (None, "r1"):
            page = await store.list(states=states, release=release, limit=1)
            await store.list(states=states, release=release, cursor=page.cursor)
    await store.counts()
    await store.cancel(other.id)
    assert len(await store.purge(datetime.now(UTC) + timedelta(hours=1))) == 3


async def test_an_index_serves_every_query(mongodb_url: str, new_job: Callable[..., Job]) -> None:
    """Told from the queries themselves: no plan is asked of the server, which may have no such indexes."""
    commands = Commands()
    async with (
        open_mongodb_store(mongodb_url, 300),
        AsyncMongoClient[dict[str, Any]](mongodb_url, event_listeners=[commands]) as client,
    ):
        own = client.get_default_database()
        await live(MongoStore(Database(own.jobs, own.tasks, own.workers, ""), timedelta(minutes=5)), new_job)
    queries = [query for query in map(asked, commands.seen) if query]
    assert len(queries) > 50
    assert [query for query in queries if not is_served(*query)] == []
    assert not is_served("jobs", {"owner": "ada"}, [])


async def test_many_processes_start_at_once(mongodb_url: str) -> None:
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(open_mongodb_store(mongodb_url, 300)) for _ in range(16)))
        client = await stack.enter_async_context(AsyncMongoClient[dict[str, Any]](mongodb_url))
        for collection, indexes in INDEXES.items():
            found = await client.get_default_database()[collection].index_information()
            assert set(found) == {"_id_", *indexes}


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # the driver's, if closed while it connects
async def test_an_unreachable_server_is_named_without_its_password() -> None:
    url = "mongodb://ada:s3cret@127.0.0.1:1/essaim?serverSelectionTimeoutMS=50"
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 ") as raised:
        async with open_mongodb_store(url, 300):
            pass
    said = str(raised.value)
    del raised
    gc.collect()
    assert "s3cret" not in said
    assert "\n" not in said
    assert len(said) < 200


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://",
        "mongodb://ada:s3cret@host:port/essaim",
        "mongodb://ada:s3cret/@host/essaim",
        "mongodb://ada:s3cret@x@host/essaim",
        "mongodb://ada:s3cret@host/a b",
    ],
)
async def test_a_wrong_url_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="ESSAIM_STORE_URL") as raised:
        async with open_mongodb_store(url, 300):
            pass
    assert "s3cret" not in str(raised.value)


async def test_a_closed_store_says_so(mongodb_url: str) -> None:
    async with open_mongodb_store(mongodb_url, 300) as store:
        pass
    asking: list[Awaitable[Any]] = [store.get("a job"), store.counts(), store.cancel("a job")]
    for late in asking:
        with pytest.raises(UnavailableError, match="closed"):
            await late
