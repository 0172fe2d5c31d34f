"""What happens to jobs is told to whoever listens, as well as can be."""

from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from cloudevents.core.v1.event import CloudEvent

from essaim.jobs.adapters.rabbitmq.queue import RabbitQueue, open_rabbitmq_queue
from tests.conftest import eventually
from tests.integration.rabbitmq.conftest import BROKER, fails
from tests.proxy import Proxy


@pytest.fixture
async def heard(channel: AbstractChannel, release: str) -> AbstractQueue:
    """A listener's own queue, bound to what happens to jobs of this release."""
    exchange = await channel.declare_exchange("essaim.jobs", aio_pika.ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, f"{release}.job.*")
    return queue


def told(event_id: str, state: str) -> CloudEvent:
    attributes = {"id": event_id, "type": f"essaim.job.{state}", "source": "/tests", "datacontenttype": "x/y"}
    return CloudEvent(attributes, b"z")


async def test_who_listens_is_notified_in_order(queue: RabbitQueue, heard: AbstractQueue, release: str) -> None:
    queue.notify(told("1", "queued"))
    queue.notify(told("2", "succeeded"))
    first = await eventually(lambda: heard.get(no_ack=True, fail=False))
    second = await eventually(lambda: heard.get(no_ack=True, fail=False))
    assert (first.routing_key, second.routing_key) == (f"{release}.job.queued", f"{release}.job.succeeded")
    assert (first.headers["ce-id"], second.headers["ce-type"]) == ("1", "essaim.job.succeeded")


async def test_what_a_process_says_last_is_heard(release: str, heard: AbstractQueue) -> None:
    async with open_rabbitmq_queue(str(BROKER), release, 10) as leaving:
        leaving.notify(told("last", "failed"))
    assert await eventually(lambda: heard.get(no_ack=True, fail=False))


async def test_notifications_are_lost_while_the_broker_is_away_and_heard_again_after(
    proxied: tuple[Proxy, RabbitQueue], heard: AbstractQueue, caplog: pytest.LogCaptureFixture
) -> None:
    proxy, cut_queue = proxied
    proxy.open = False
    proxy.cut()
    await eventually(lambda: fails(cut_queue))
    cut_queue.notify(told("lost", "failed"))
    await eventually(lambda: "queue.notifications_lost" in caplog.text)
    proxy.open = True

    async def told_again() -> Any:
        cut_queue.notify(told("again", "failed"))
        return await heard.get(no_ack=True, fail=False)

    message = await eventually(told_again)
    assert message.headers["ce-id"] == "again"
