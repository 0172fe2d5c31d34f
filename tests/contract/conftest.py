"""One suite for every adapter: a new backend is one more entry in a table here, and no test knows which one it has."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
)
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
from cloudevents.core.v1.event import CloudEvent
from obstore.store import MemoryStore
from pymongo import MongoClient
from uuid_utils import uuid7

from essaim.errors import UnavailableError
from essaim.jobs.adapters.mongodb.store import open_mongodb_store
from essaim.jobs.adapters.rabbitmq.queue import open_rabbitmq_queue
from essaim.jobs.adapters.sqlite.queue import open_sqlite_queue
from essaim.jobs.adapters.sqlite.store import open_sqlite_store
from essaim.jobs.adapters.texts.opening import open_texts
from essaim.jobs.adapters.texts.store import ObjectTexts
from essaim.jobs.model import Claimed, Job
from essaim.jobs.ports import JobQueue, JobStore, TextStore
from tests.servers import MONGODB_URL, RABBITMQ_310_URL, RABBITMQ_URL, S3, S3_URL, absent, delete_queues, mongodb_silent

T = TypeVar("T")


@dataclass(frozen=True)
class QueueBackend:
    """`open(release, max_length)` gives a handle, as another process would; `inject` puts any bytes into the queue."""

    open: Callable[[str, int], AbstractAsyncContextManager[JobQueue]]
    inject: Callable[[str, bytes], Awaitable[None]]


@dataclass(frozen=True)
class StoreBackend:
    """`open(lease_seconds)` gives a handle, as another process would."""

    open: Callable[[float], AbstractAsyncContextManager[JobStore]]


def sqlite_queue(folder: Path) -> QueueBackend:
    path = folder / "queue.db"

    async def inject(release: str, body: bytes) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO messages (release, body) VALUES (?, ?)", (release, body))

    return QueueBackend(lambda release, most: open_sqlite_queue(f"sqlite:///{path}", release, most), inject)


@contextmanager
def sqlite_store(folder: Path) -> Iterator[StoreBackend]:
    yield StoreBackend(lambda lease_seconds: open_sqlite_store(f"sqlite:///{folder / 'store.db'}", lease_seconds))


@contextmanager
def mongodb_database() -> Iterator[str]:
    """The URL of a database of its own, dropped afterwards."""
    if silent := mongodb_silent():
        absent(silent)
    name = f"essaim-test-{uuid4().hex[:12]}"
    url = urlsplit(MONGODB_URL)._replace(path=f"/{name}").geturl()
    yield url
    with MongoClient[dict[str, Any]](url) as client:
        client.drop_database(name)


@contextmanager
def mongodb_store(folder: Path) -> Iterator[StoreBackend]:
    with mongodb_database() as url:
        yield StoreBackend(lambda lease_seconds: open_mongodb_store(url, lease_seconds))


def rabbitmq_queue(url: str) -> QueueBackend:
    async def inject(release: str, body: bytes) -> None:
        async with await aio_pika.connect(url) as connection, connection.channel() as channel:
            message = aio_pika.Message(body, content_type="application/cloudevents+json")
            await channel.default_exchange.publish(message, f"jobs.{release}")

    @asynccontextmanager
    async def opened(release: str, max_length: int) -> AsyncIterator[JobQueue]:
        async with open_rabbitmq_queue(url, release, max_length) as queue:
            _RABBITMQ_RELEASES.add((url, release))
            yield queue

    return QueueBackend(opened, inject)


_RABBITMQ_RELEASES: set[tuple[str, str]] = set()


@pytest.fixture(autouse=True)
def no_queue_is_left() -> Iterator[None]:
    yield
    while _RABBITMQ_RELEASES:
        asyncio.run(delete_queues(*_RABBITMQ_RELEASES.pop()))


QUEUES: dict[str, Callable[[Path], QueueBackend]] = {
    "sqlite": sqlite_queue,
    "rabbitmq": lambda _: rabbitmq_queue(RABBITMQ_URL),
    "rabbitmq-3.10": lambda _: rabbitmq_queue(RABBITMQ_310_URL),
}
STORES: dict[str, Callable[[Path], AbstractContextManager[StoreBackend]]] = {
    "sqlite": sqlite_store,
    "mongodb": mongodb_store,
}


@asynccontextmanager
async def reached(opening: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    async with AsyncExitStack() as stack:
        try:
            handle = await stack.enter_async_context(opening)
        except UnavailableError as error:
            absent(str(error))
        yield handle


@pytest.fixture
def release() -> str:
    """No other test's: a server's queues outlive a test."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture(params=QUEUES)
def queue_backend(request: pytest.FixtureRequest, tmp_path: Path) -> QueueBackend:
    return QUEUES[request.param](tmp_path)


@pytest.fixture(params=STORES)
def store_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreBackend]:
    with STORES[request.param](tmp_path) as backend:
        yield backend


@pytest.fixture
def mongodb_url() -> Iterator[str]:
    with mongodb_database() as url:
        yield url


@pytest.fixture
def open_queue(queue_backend: QueueBackend, release: str) -> Callable[..., AbstractAsyncContextManager[JobQueue]]:
    """Another handle on the same queue, or with `release` on another one of the same backend."""

    def opened(*, release: str = release, max_length: int = 1000) -> AbstractAsyncContextManager[JobQueue]:
        return reached(queue_backend.open(release, max_length))

    return opened


@pytest.fixture
async def queue(open_queue: Callable[..., AbstractAsyncContextManager[JobQueue]]) -> AsyncIterator[JobQueue]:
    async with open_queue() as opened:
        yield opened


@pytest.fixture
def inject(queue_backend: QueueBackend, release: str) -> Callable[[bytes], Awaitable[None]]:
    """Put a message into the queue that no CloudEvent has to be."""
    return lambda body: queue_backend.inject(release, body)


@pytest.fixture
def open_store(store_backend: StoreBackend) -> Callable[..., AbstractAsyncContextManager[JobStore]]:
    """Another handle on the same store. Its leases last longer than any test, unless it asks for shorter ones."""

    def opened(*, lease_seconds: float = 300.0) -> AbstractAsyncContextManager[JobStore]:
        return reached(store_backend.open(lease_seconds))

    return opened


@pytest.fixture
async def store(open_store: Callable[..., AbstractAsyncContextManager[JobStore]]) -> AsyncIterator[JobStore]:
    async with open_store() as opened:
        yield opened


@pytest.fixture
def event() -> Callable[..., CloudEvent]:
    """An event with this id, or the next number as its id."""
    numbers = count()

    def make(event_id: str | None = None, **data: Any) -> CloudEvent:
        attributes = {
            "id": event_id or str(next(numbers)),
            "type": "essaim.test",
            "source": "/tests",
            "subject": "a job",
            "datacontenttype": "application/json",
        }
        return CloudEvent(attributes, data)

    return make


@pytest.fixture
def new_job(release: str) -> Callable[..., Job]:
    """A job that no store has yet."""

    def make(**fields: Any) -> Job:
        given = {
            "id": str(uuid7()),
            "owner": "ada",
            "release": release,
            "request": {"words": ["liberté"]},
            "fingerprint": "f" * 64,
            "created": datetime.now(UTC),
        }
        return Job(**{**given, **fields})

    return make


@pytest.fixture
def planned(store: JobStore, new_job: Callable[..., Job]) -> Callable[..., Awaitable[Job]]:
    """A job in the store, split into `tasks` tasks that nobody has claimed."""

    async def make(tasks: int = 1, **fields: Any) -> Job:
        job = await store.submit(new_job(**fields))
        await store.plan(job.id, 1, [f"input {number}".encode() for number in range(tasks)])
        return await store.get(job.id)

    return make


@pytest.fixture
def claimed(store: JobStore) -> Callable[..., Awaitable[Claimed]]:
    """A claim of a task that nobody else has."""

    async def claim(job: Job, number: int = 0, worker: str = "worker-1") -> Claimed:
        answer = await store.claim(job.id, number, worker)
        assert isinstance(answer, Claimed)
        return answer

    return claim


@pytest.fixture(params=["file", "memory", "s3"])
async def texts(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TextStore]:
    """`file` is the local folder; `memory` goes the way of every remote object store, without the network."""
    match request.param:
        case "file":
            async with open_texts(tmp_path.as_uri(), "texts") as store:
                yield store
        case "memory":
            yield ObjectTexts(MemoryStore())
        case "s3":
            for name, value in S3.items():
                monkeypatch.setenv(name, value)
            async with reached(open_texts(f"{S3_URL}/{uuid4().hex}", "texts")) as store:
                yield store
