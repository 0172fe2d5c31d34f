"""Opens and closes the configured backends together. The only module where a URL picks an adapter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from essaim.errors import SettingsError
from essaim.jobs.ports import JobQueue, JobStore, TextStore
from essaim.jobs.process import Starting
from essaim.jobs.results import Results
from essaim.jobs.settings import Settings


@dataclass(frozen=True)
class Backends:
    """Everything with state. API and workers use the same."""

    queue: JobQueue
    store: JobStore
    texts: TextStore
    results: Results


@asynccontextmanager
async def open_backends(settings: Settings, starting: Starting | None = None) -> AsyncIterator[Backends]:
    """Open all backends concurrently, and wait `start_seconds` for those that do not answer yet.

    Raises `SettingsError` at once for a URL that cannot be right, `UnavailableError` for one that is not reached in time.
    Meanwhile `starting` says what is missing.
    """
    start, seconds = starting or Starting(), settings.start_seconds
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        try:
            async with asyncio.TaskGroup() as group:
                queue = group.create_task(start.reach("queue", seconds, lambda: enter(_open_queue(settings))))
                store = group.create_task(start.reach("store", seconds, lambda: enter(_open_store(settings))))
                texts = group.create_task(start.reach("texts", seconds, lambda: enter(_open_texts(settings))))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # any others failed at the same moment
        opened, blobs = texts.result()
        yield Backends(queue.result(), store.result(), opened, Results(blobs, settings))


# Adapters are imported here and not above: a process loads only the drivers that its URLs name (cold start).


def _open_queue(settings: Settings) -> AbstractAsyncContextManager[JobQueue]:
    match urlsplit(settings.queue_url).scheme:
        case "sqlite":
            from essaim.jobs.adapters.sqlite.queue import open_sqlite_queue

            return open_sqlite_queue(settings.queue_url, settings.release, settings.max_queue_length)
        case "amqp" | "amqps":
            from essaim.jobs.adapters.rabbitmq.queue import open_rabbitmq_queue

            return open_rabbitmq_queue(settings.queue_url, settings.release, settings.max_queue_length)
        case scheme:
            raise SettingsError(
                f"ESSAIM_QUEUE_URL: {scheme!r} is no queue; use sqlite:///path or amqp://user:password@host:port/vhost"
            )


def _open_store(settings: Settings) -> AbstractAsyncContextManager[JobStore]:
    match urlsplit(settings.store_url).scheme:
        case "sqlite":
            from essaim.jobs.adapters.sqlite.store import open_sqlite_store

            return open_sqlite_store(settings.store_url, settings.lease_seconds)
        case "mongodb" | "mongodb+srv":
            from essaim.jobs.adapters.mongodb.store import open_mongodb_store

            return open_mongodb_store(settings.store_url, settings.lease_seconds)
        case scheme:
            known = "sqlite:///path or mongodb://host:port/database"
            raise SettingsError(f"ESSAIM_STORE_URL: {scheme!r} is no job store; use {known}")


@asynccontextmanager
async def _open_texts(settings: Settings) -> AsyncIterator[tuple[TextStore, TextStore]]:
    match urlsplit(settings.texts_url).scheme:
        case "file" | "s3":
            from essaim.jobs.adapters.texts.opening import open_texts

            async with (
                open_texts(settings.texts_url, "texts") as texts,
                open_texts(settings.texts_url, "results") as blobs,
            ):
                yield texts, blobs
        case scheme:
            raise SettingsError(
                f"ESSAIM_TEXTS_URL: {scheme!r} is no text store; use file:///path or s3://bucket/folder"
            )
