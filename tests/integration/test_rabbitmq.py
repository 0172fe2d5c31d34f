"""What only a broker has: connections that are cut, consumers that it cancels, queues that vanish, users that it refuses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any
from uuid import uuid4

import aio_pika
import aiormq
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from cloudevents.core.v1.event import CloudEvent
from yarl import URL

from jobs.adapters.rabbitmq.queue import RabbitQueue, open_rabbitmq_queue
from jobs.errors import EssaimError, SettingsError, UnavailableError
from jobs.model import Depth
from jobs.ports import Delivery
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


async def next_of(deliveries: AsyncIterator[Delivery]) -> Delivery:
    return await asyncio.wait_for(anext(deliveries), 60)


async def next_id(deliveries: AsyncIterator[Delivery]) -> str:
    delivery = await next_of(deliveries)
    await delivery.ack()
    return str(delivery.event.get_id())


async def test_deliveries_go_on_after_the_connection_was_cut(
    proxied: tuple[Proxy, RabbitQueue], queue: RabbitQueue, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    proxy, cut_queue = proxied
    await cut_queue.publish([event("before")])
    async with cut_queue.deliveries(1) as deliveries:
        held = await next_of(deliveries)
        proxy.cut()
        again = await next_of(deliveries)
        assert again.event.get_id() == "before"
        with pytest.raises(UnavailableError):
            await held.ack()  # taken back with the connection: it is not for this delivery to settle any more
        await again.ack()
        await queue.publish([event("after")])
        assert await next_id(deliveries) == "after"
    assert await eventually(lambda: _is(queue, Depth(ready=0, in_flight=0)))
    assert "Traceback" not in caplog.text  # the driver's, of a loss that is expected


async def test_a_delivery_whose_return_was_never_sent_is_not_acknowledged_with_a_later_one(
    proxied: tuple[Proxy, RabbitQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that acknowledges all up to a delivery would take it along: to the broker it is as unsettled as the others."""
    proxy, cut_queue = proxied
    monkeypatch.setattr("jobs.adapters.rabbitmq.session.CALL_SECONDS", 0.1)

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    await cut_queue.publish([event("returned")])
    await cut_queue.publish([event("done")])
    async with cut_queue.deliveries(2) as deliveries:
        returned, done = await next_of(deliveries), await next_of(deliveries)
        with monkeypatch.context() as stalled:
            stalled.setattr(aiormq.Channel, "basic_nack", never)
            with pytest.raises(UnavailableError):
                await returned.release()
        await done.ack()
        assert await _is(cut_queue, Depth(ready=0, in_flight=0))  # as this process shows it; the broker knows of one
        proxy.cut()
        assert await next_id(deliveries) == "returned"


async def test_a_wait_goes_on_while_the_broker_is_away(
    proxied: tuple[Proxy, RabbitQueue], queue: RabbitQueue, eventually: Eventually
) -> None:
    proxy, cut_queue = proxied
    async with cut_queue.deliveries(1) as deliveries:
        waiting = asyncio.create_task(next_id(deliveries))
        proxy.open = False
        proxy.cut()
        await eventually(lambda: _fails(cut_queue))
        await queue.publish([event("meanwhile")])
        proxy.open = True
        assert await waiting == "meanwhile"
    await eventually(lambda: _publishes(cut_queue))


async def test_what_is_cut_in_the_middle_is_published_or_refused(proxied: tuple[Proxy, RabbitQueue]) -> None:
    proxy, cut_queue = proxied
    taken: list[str] = []

    async def publish(number: int) -> None:
        with suppress(UnavailableError):
            await cut_queue.publish([event(str(number))])
            taken.append(str(number))

    async def cut() -> None:
        for _ in range(3):
            await asyncio.sleep(0.01)
            proxy.cut()

    await asyncio.gather(cut(), *(publish(number) for number in range(200)))
    found: set[str] = set()
    async with cut_queue.deliveries(50) as deliveries:
        while not found.issuperset(taken):
            found.add(await next_id(deliveries))


async def test_a_consumer_that_the_broker_cancelled_consumes_again(
    queue: RabbitQueue, channel: AbstractChannel, release: str, eventually: Eventually
) -> None:
    async with queue.deliveries(1) as deliveries:
        waiting = asyncio.create_task(next_id(deliveries))
        await channel.queue_delete(f"jobs.{release}")
        await eventually(lambda: _publishes(queue))
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
    queue: RabbitQueue, channel: AbstractChannel, release: str, eventually: Eventually
) -> None:
    await queue.publish([event("held")])
    async with open_rabbitmq_queue(str(BROKER), release, 1000) as observer, queue.deliveries(1) as deliveries:
        held = await next_of(deliveries)
        await eventually(lambda: _is(observer, Depth(ready=0, in_flight=1)))
        await channel.queue_delete(f"jobs.{release}.busy")
        assert await eventually(lambda: _is(observer, Depth(ready=0, in_flight=1)))
        await held.ack()
        assert await eventually(lambda: _is(observer, Depth(ready=0, in_flight=0)))


async def test_a_delivery_comes_back_more_often_than_any_default_limit(queue: RabbitQueue) -> None:
    await queue.publish([event("patient")])
    async with queue.deliveries(1) as deliveries:
        for _ in range(50):
            await (await next_of(deliveries)).release()
        assert await next_id(deliveries) == "patient"
    assert await queue.dead_letters() == []


async def test_what_the_broker_gives_up_is_a_dead_letter(
    queue: RabbitQueue, channel: AbstractChannel, release: str, eventually: Eventually
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


async def test_who_listens_is_notified_in_order(
    queue: RabbitQueue, heard: AbstractQueue, release: str, eventually: Eventually
) -> None:
    queue.notify(told("1", "queued"))
    queue.notify(told("2", "succeeded"))
    first = await eventually(lambda: heard.get(no_ack=True, fail=False))
    second = await eventually(lambda: heard.get(no_ack=True, fail=False))
    assert (first.routing_key, second.routing_key) == (f"{release}.job.queued", f"{release}.job.succeeded")
    assert (first.headers["ce-id"], second.headers["ce-type"]) == ("1", "essaim.job.succeeded")


async def test_what_a_process_says_last_is_heard(release: str, heard: AbstractQueue, eventually: Eventually) -> None:
    async with open_rabbitmq_queue(str(BROKER), release, 10) as leaving:
        leaving.notify(told("last", "failed"))
    assert await eventually(lambda: heard.get(no_ack=True, fail=False))


async def test_notifications_are_lost_while_the_broker_is_away_and_heard_again_after(
    proxied: tuple[Proxy, RabbitQueue], heard: AbstractQueue, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    proxy, cut_queue = proxied
    proxy.open = False
    proxy.cut()
    await eventually(lambda: _fails(cut_queue))
    cut_queue.notify(told("lost", "failed"))
    await eventually(lambda: "queue.notifications_lost" in caplog.text)
    proxy.open = True

    async def told_again() -> Any:
        cut_queue.notify(told("again", "failed"))
        return await heard.get(no_ack=True, fail=False)

    message = await eventually(told_again)
    assert message.headers["ce-id"] == "again"


async def refusal(opening: AbstractAsyncContextManager[RabbitQueue], kind: type[EssaimError] = SettingsError) -> str:
    with pytest.raises(kind) as raised:
        async with opening:
            pass
    return str(raised.value)


async def test_a_wrong_password_is_told_in_a_sentence_without_it(channel: AbstractChannel, release: str) -> None:
    said = await refusal(open_rabbitmq_queue(str(BROKER.with_password("s3cret")), release, 10))
    assert said == f"ESSAIM_QUEUE_URL: RabbitMQ at {BROKER.host}:{BROKER.port} refuses the user or the password"


async def test_no_such_virtual_host_is_told_in_a_sentence(channel: AbstractChannel, release: str) -> None:
    said = await refusal(open_rabbitmq_queue(str(BROKER.with_path("/nowhere")), release, 10))
    where = f"RabbitMQ at {BROKER.host}:{BROKER.port}"
    assert said == f"ESSAIM_QUEUE_URL: {where} refuses the user or has no such virtual host"


async def test_a_broker_that_is_not_there_is_told_in_a_sentence(release: str) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    said = await refusal(open_rabbitmq_queue(f"amqp://ada:s3cret@127.0.0.1:{port}/", release, 10), UnavailableError)
    assert said.startswith(f"RabbitMQ at 127.0.0.1:{port} does not answer")
    assert "s3cret" not in said
    assert "\n" not in said


async def _is(queue: RabbitQueue, depth: Depth) -> bool:
    return await queue.depth() == depth


async def _fails(queue: RabbitQueue) -> bool:
    try:
        await queue.depth()
    except UnavailableError:
        return True
    return False


async def _publishes(queue: RabbitQueue) -> bool:
    with suppress(UnavailableError):
        await queue.publish([event("again")])
        return True
    return False
