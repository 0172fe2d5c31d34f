"""What the queue promises about a message, from publishing to settling."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from cloudevents.core.v1.event import CloudEvent

from essaim.jobs.model import Depth
from essaim.jobs.ports import JobQueue
from tests.conftest import eventually
from tests.contract.deliveries import next_id, next_of

Events = Callable[..., CloudEvent]
OpenQueue = Callable[..., AbstractAsyncContextManager[JobQueue]]

EMPTY = Depth(ready=0, in_flight=0)


async def test_an_event_comes_out_as_it_went_in(queue: JobQueue, event: Events) -> None:
    sent = event(words=["liberté", "自由"], nested={"numbers": [1, 2.5, None, True]})
    await queue.publish([sent])
    async with queue.deliveries(1) as deliveries:
        delivery = await next_of(deliveries)
        assert delivery.event.get_attributes() == sent.get_attributes()
        assert delivery.event.get_data() == sent.get_data()


async def test_the_oldest_comes_first(queue: JobQueue, event: Events) -> None:
    await queue.publish([event(str(number)) for number in range(20)])
    await queue.publish([event(str(number)) for number in range(20, 30)])
    async with queue.deliveries(5) as deliveries:
        assert [await next_id(deliveries) for _ in range(30)] == [str(number) for number in range(30)]


async def test_a_waiting_consumer_hears_of_what_another_process_publishes(
    queue: JobQueue, open_queue: OpenQueue, event: Events
) -> None:
    async with open_queue() as other, queue.deliveries(1) as deliveries:
        for number in ("first", "second"):
            waiting = asyncio.create_task(next_id(deliveries))
            await asyncio.sleep(0)
            await other.publish([event(number)])
            assert await waiting == number


async def test_a_waiting_consumer_hears_of_what_its_own_process_publishes(queue: JobQueue, event: Events) -> None:
    async with queue.deliveries(1) as deliveries:
        waiting = asyncio.create_task(next_id(deliveries))
        await asyncio.sleep(0)
        await queue.publish([event("mine")])
        assert await waiting == "mine"


async def test_publishing_nothing_is_nothing(queue: JobQueue) -> None:
    await queue.publish([])
    assert await queue.depth() == EMPTY


async def test_an_event_published_twice_is_delivered_twice(queue: JobQueue, event: Events) -> None:
    await queue.publish([event("again")])
    await queue.publish([event("again")])
    async with queue.deliveries(2) as deliveries:
        assert [await next_id(deliveries) for _ in range(2)] == ["again", "again"]


async def test_a_release_gets_only_its_own_messages(queue: JobQueue, open_queue: OpenQueue, event: Events) -> None:
    async with open_queue(release=f"test-other-{time.time_ns()}") as other:
        await queue.publish([event("ours")])
        await other.publish([event("theirs")])
        async with queue.deliveries(1) as ours, other.deliveries(1) as theirs:
            assert await next_id(theirs) == "theirs"
            assert await next_id(ours) == "ours"
        assert (await queue.depth(), await other.depth()) == (EMPTY, EMPTY)


async def test_an_acknowledged_message_is_gone(queue: JobQueue, open_queue: OpenQueue, event: Events) -> None:
    await queue.publish([event("done"), event("open")])
    async with open_queue() as other, other.deliveries(2) as deliveries:
        assert await next_id(deliveries) == "done"
        await next_of(deliveries)  # left unsettled: comes back when `other` closes
    async with queue.deliveries(2) as deliveries:
        assert await next_id(deliveries) == "open"
        assert await eventually(lambda: _is(queue, EMPTY))


async def test_of_what_is_acknowledged_at_once_nothing_comes_back_but_what_is_still_worked_on(
    queue: JobQueue, open_queue: OpenQueue, event: Events
) -> None:
    await queue.publish([event(str(number)) for number in range(8)])
    async with open_queue() as other, other.deliveries(8) as deliveries:
        taken = [await next_of(deliveries) for _ in range(8)]
        await asyncio.gather(*(taken[number].ack() for number in (1, 0, 5, 3, 7)))
    async with queue.deliveries(8) as deliveries:
        assert {await next_id(deliveries) for _ in range(3)} == {"2", "4", "6"}
        assert await eventually(lambda: _is(queue, EMPTY))


async def test_a_released_delivery_comes_back(queue: JobQueue, event: Events) -> None:
    await queue.publish([event("released")])
    async with queue.deliveries(1) as deliveries:
        await (await next_of(deliveries)).release()
        assert await next_id(deliveries) == "released"


async def test_a_released_delivery_goes_to_whoever_waits(queue: JobQueue, open_queue: OpenQueue, event: Events) -> None:
    await queue.publish([event("released")])
    async with queue.deliveries(1) as mine:
        delivery = await next_of(mine)
    async with open_queue() as other, other.deliveries(1) as theirs:
        waiting = asyncio.create_task(next_id(theirs))
        await delivery.release()
        assert await waiting == "released"


async def test_a_retried_delivery_comes_back_after_its_delay(queue: JobQueue, event: Events) -> None:
    await queue.publish([event("later"), event("now")])
    async with queue.deliveries(1) as deliveries:
        delivery = await next_of(deliveries)
        before = time.monotonic()
        await delivery.retry(0.5)
        assert await next_id(deliveries) == "now"
        assert await next_id(deliveries) == "later"
        assert time.monotonic() - before >= 0.45  # "about" the delay: brokers count in whole milliseconds


async def test_delays_do_not_wait_for_each_other(queue: JobQueue, event: Events) -> None:
    await queue.publish([event("long"), event("short")])
    async with queue.deliveries(2) as deliveries:
        await (await next_of(deliveries)).retry(50)
        await (await next_of(deliveries)).retry(0.1)
        assert await next_id(deliveries) == "short"


async def test_what_is_published_with_a_delay_comes_out_after_it(queue: JobQueue, event: Events) -> None:
    before = time.monotonic()
    await queue.publish([event("later")], delay=0.5)
    await queue.publish([event("now")])
    async with queue.deliveries(1) as deliveries:
        assert await next_id(deliveries) == "now"
        assert await next_id(deliveries) == "later"
    assert time.monotonic() - before >= 0.45
    assert await eventually(lambda: _is(queue, EMPTY))


async def test_what_is_delayed_is_taken_beyond_the_bound(open_queue: OpenQueue, event: Events) -> None:
    async with open_queue(max_length=3) as queue:
        await queue.publish([event(str(number)) for number in range(3)])
        await queue.publish([event("end")], delay=1.0)
        async with queue.deliveries(1) as deliveries:
            assert [await next_id(deliveries) for _ in range(4)] == ["0", "1", "2", "end"]


async def test_a_notification_is_no_message_of_the_queue(queue: JobQueue, event: Events) -> None:
    queue.notify(event("told"))
    await queue.publish([event("message")])
    async with queue.deliveries(2) as deliveries:
        assert await next_id(deliveries) == "message"
    assert await queue.depth() == EMPTY


async def test_a_settled_delivery_cannot_be_settled_again(queue: JobQueue, event: Events) -> None:
    await queue.publish([event("once")])
    async with queue.deliveries(2) as deliveries:
        delivery = await next_of(deliveries)
        await delivery.release()
        again = await next_of(deliveries)
        await delivery.ack()
        await again.release()
        assert await next_id(deliveries) == "once"


async def test_depth_tells_what_waits_from_what_is_worked_on(
    queue: JobQueue, open_queue: OpenQueue, event: Events
) -> None:
    await queue.publish([event() for _ in range(6)])
    async with open_queue() as observer, queue.deliveries(3) as deliveries:
        delayed, parked, held = [await next_of(deliveries) for _ in range(3)]
        await eventually(lambda: _is(observer, Depth(ready=3, in_flight=3)))
        await delayed.retry(50)
        await parked.park("no use")
        await held.ack()
        assert await eventually(lambda: _sums_to(observer, 3))  # an adapter may fetch ahead, so not which is which


async def test_each_message_goes_to_one_of_several_consumers(open_queue: OpenQueue, event: Events) -> None:
    seen: list[str] = []

    async def consume() -> None:
        async with open_queue() as mine, mine.deliveries(3) as deliveries:
            while len(seen) < 100:
                waiting = asyncio.ensure_future(anext(deliveries))
                done, _ = await asyncio.wait({waiting}, timeout=0.2)
                if not done:
                    waiting.cancel()
                    continue
                await waiting.result().ack()
                seen.append(str(waiting.result().event.get_id()))

    async with open_queue() as queue:
        await queue.publish([event(str(number)) for number in range(100)])
    async with asyncio.timeout(120):
        await asyncio.gather(*(consume() for _ in range(4)))
    assert sorted(seen, key=int) == [str(number) for number in range(100)]


async def _is(queue: JobQueue, depth: Depth) -> bool:
    return await queue.depth() == depth


async def _sums_to(queue: JobQueue, messages: int) -> bool:
    depth = await queue.depth()
    return depth.ready + depth.in_flight == messages
