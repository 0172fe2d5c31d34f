"""Consumers that the broker cancels, queues that vanish or are another's, and what is in the messages."""

import asyncio

import aio_pika
from aio_pika.abc import AbstractChannel

from essaim.jobs.adapters.rabbitmq.queue import RabbitQueue, open_rabbitmq_queue
from essaim.jobs.model import Depth
from tests.conftest import eventually
from tests.contract.deliveries import next_id, next_of
from tests.integration.rabbitmq.conftest import BROKER, QUEUES, event, is_at, publishes


async def test_a_consumer_that_the_broker_cancelled_consumes_again(
    queue: RabbitQueue, channel: AbstractChannel, release: str
) -> None:
    async with queue.deliveries(1) as deliveries:
        waiting = asyncio.create_task(next_id(deliveries))
        await channel.queue_delete(f"jobs.{release}")
        await eventually(lambda: publishes(queue))
        assert await waiting == "again"


async def test_a_queue_that_somebody_deleted_is_made_again(
    queue: RabbitQueue, channel: AbstractChannel, release: str
) -> None:
    for suffix in QUEUES:
        await channel.queue_delete(f"jobs.{release}{suffix}")
    await queue.publish([event("one"), event("two")])
    for suffix in ("", ".dead", ".busy"):
        await channel.queue_delete(f"jobs.{release}{suffix}")
    assert await queue.depth() == Depth(ready=0, in_flight=0)
    await queue.publish([event("three")])
    async with queue.deliveries(1) as deliveries:
        assert await next_id(deliveries) == "three"


async def test_what_is_in_flight_shows_again_after_its_queue_was_deleted(
    queue: RabbitQueue, channel: AbstractChannel, release: str
) -> None:
    await queue.publish([event("held")])
    async with open_rabbitmq_queue(str(BROKER), release, 1000) as observer, queue.deliveries(1) as deliveries:
        held = await next_of(deliveries)
        await eventually(lambda: is_at(observer, Depth(ready=0, in_flight=1)))
        await channel.queue_delete(f"jobs.{release}.busy")
        assert await eventually(lambda: is_at(observer, Depth(ready=0, in_flight=1)))
        await held.ack()
        assert await eventually(lambda: is_at(observer, Depth(ready=0, in_flight=0)))


async def test_a_delivery_comes_back_more_often_than_any_default_limit(queue: RabbitQueue) -> None:
    await queue.publish([event("patient")])
    async with queue.deliveries(1) as deliveries:
        for _ in range(50):
            await (await next_of(deliveries)).release()
        assert await next_id(deliveries) == "patient"
    assert await queue.dead_letters() == []


async def test_what_the_broker_gives_up_is_a_dead_letter(
    queue: RabbitQueue, channel: AbstractChannel, release: str
) -> None:
    await queue.publish([event("rejected")])
    main = await channel.get_queue(f"jobs.{release}")
    await (await main.get()).reject(requeue=False)
    (letter,) = await eventually(queue.dead_letters)
    assert (letter.event["id"], letter.reason) == ("rejected", "given up by the broker: rejected")
    assert await queue.replay([letter.id], lambda old: old) == 1
    async with queue.deliveries(1) as deliveries:
        assert await next_id(deliveries) == "rejected"


async def test_a_queue_with_another_bound_is_used_as_it_is(queue: RabbitQueue, release: str) -> None:
    async with open_rabbitmq_queue(str(BROKER), release, 7) as other:
        await other.publish([event("one")])
    async with queue.deliveries(1) as deliveries:
        assert await next_id(deliveries) == "one"


async def test_events_travel_in_binary_mode_and_persistently(
    queue: RabbitQueue, channel: AbstractChannel, release: str
) -> None:
    await queue.publish([event("wire")])
    message = await (await channel.get_queue(f"jobs.{release}")).get(no_ack=True)
    assert message.headers["ce-id"] == "wire"
    assert message.headers["ce-specversion"] == "1.0"
    assert (message.content_type, message.body) == ("application/json", b'{"number": "wire"}')
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
