"""Connections that are cut, and a broker that is away."""

import asyncio
from contextlib import suppress

import aiormq
import pytest

from essaim.errors import UnavailableError
from essaim.jobs.adapters.rabbitmq.queue import RabbitQueue
from essaim.jobs.model import Depth
from tests.conftest import eventually
from tests.contract.deliveries import next_id, next_of
from tests.integration.rabbitmq.conftest import event, fails, is_at, publishes
from tests.proxy import Proxy


async def test_deliveries_go_on_after_the_connection_was_cut(
    proxied: tuple[Proxy, RabbitQueue], queue: RabbitQueue, caplog: pytest.LogCaptureFixture
) -> None:
    proxy, cut_queue = proxied
    await cut_queue.publish([event("before")])
    async with cut_queue.deliveries(1) as deliveries:
        held = await next_of(deliveries)
        proxy.cut()
        await eventually(lambda: held.astray)
        await eventually(lambda: not held.astray)  # it came again, to the one who still works on it
        await held.ack()
        await queue.publish([event("after")])
        assert await next_id(deliveries) == "after"
    assert await eventually(lambda: is_at(queue, Depth(ready=0, in_flight=0)))
    assert "Traceback" not in caplog.text  # the driver's, of a loss that is expected


async def test_a_delivery_whose_return_was_never_sent_is_not_acknowledged_with_a_later_one(
    proxied: tuple[Proxy, RabbitQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that acknowledges all up to a delivery would take it along: to the broker it is as unsettled as the others."""
    proxy, cut_queue = proxied
    monkeypatch.setattr("essaim.jobs.adapters.rabbitmq.consumer.CALL_SECONDS", 0.1)

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
        assert await is_at(cut_queue, Depth(ready=0, in_flight=0))  # as this process shows it; the broker knows of one
        proxy.cut()
        assert await next_id(deliveries) == "returned"


async def test_a_wait_goes_on_while_the_broker_is_away(proxied: tuple[Proxy, RabbitQueue], queue: RabbitQueue) -> None:
    proxy, cut_queue = proxied
    async with cut_queue.deliveries(1) as deliveries:
        waiting = asyncio.create_task(next_id(deliveries))
        proxy.open = False
        proxy.cut()
        await eventually(lambda: fails(cut_queue))
        await queue.publish([event("meanwhile")])
        proxy.open = True
        assert await waiting == "meanwhile"
    await eventually(lambda: publishes(cut_queue))


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
