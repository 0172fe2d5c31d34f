"""A RabbitMQ, with a release of its own for each test, straight or through a proxy that cuts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from cloudevents.core.v1.event import CloudEvent
from yarl import URL

from essaim.errors import UnavailableError
from essaim.jobs.adapters.rabbitmq.queue import RabbitQueue, open_rabbitmq_queue
from essaim.jobs.model import Depth
from tests.proxy import Proxy
from tests.servers import RABBITMQ_URL, absent

Eventually = Callable[..., Awaitable[Any]]
BROKER = URL(RABBITMQ_URL)
QUEUES = ("", ".dead", ".busy", ".wait.0.25s", ".wait.1s", ".wait.64s")


@pytest.fixture
async def channel() -> AsyncIterator[AbstractChannel]:
    """Straight to the broker, past the adapter."""
    try:
        connection = await aio_pika.connect(BROKER)
    except OSError as error:
        absent(str(error))
    async with connection, connection.channel() as opened:
        yield opened


@pytest.fixture
async def release(channel: AbstractChannel) -> AsyncIterator[str]:
    name = f"test-{uuid4().hex[:12]}"
    yield name
    for suffix in QUEUES:
        await channel.queue_delete(f"jobs.{name}{suffix}")


@pytest.fixture
async def queue(release: str) -> AsyncIterator[RabbitQueue]:
    async with open_rabbitmq_queue(str(BROKER), release, 1000) as opened:
        yield opened


@pytest.fixture
async def proxied(release: str) -> AsyncIterator[tuple[Proxy, RabbitQueue]]:
    proxy = Proxy(BROKER.host or "127.0.0.1", BROKER.port or 5672)
    async with proxy.serve():
        url = BROKER.with_host("127.0.0.1").with_port(proxy.port)
        async with open_rabbitmq_queue(str(url), release, 1000) as opened:
            yield proxy, opened


def event(event_id: str) -> CloudEvent:
    attributes = {"id": event_id, "type": "essaim.test", "source": "/tests", "datacontenttype": "application/json"}
    return CloudEvent(attributes, {"number": event_id})


async def is_at(queue: RabbitQueue, depth: Depth) -> bool:
    return await queue.depth() == depth


async def fails(queue: RabbitQueue) -> bool:
    try:
        await queue.depth()
    except UnavailableError:
        return True
    return False


async def publishes(queue: RabbitQueue) -> bool:
    with suppress(UnavailableError):
        await queue.publish([event("again")])
        return True
    return False
