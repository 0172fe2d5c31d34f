"""What the queue promises to those who consume, wait, leave, and take too much at once."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from cloudevents.core.v1.event import CloudEvent

from essaim.errors import QueueFullError
from essaim.jobs.model import Depth
from essaim.jobs.ports import JobQueue
from tests.conftest import eventually
from tests.contract.deliveries import ids_of, next_of

Events = Callable[..., CloudEvent]
OpenQueue = Callable[..., AbstractAsyncContextManager[JobQueue]]


async def test_no_more_are_handed_out_than_may_be_unsettled(
    queue: JobQueue, open_queue: OpenQueue, event: Events
) -> None:
    await queue.publish([event(str(number)) for number in range(3)])
    async with queue.deliveries(2) as mine:
        first, _ = await next_of(mine), await next_of(mine)
        third = asyncio.ensure_future(anext(mine))
        async with open_queue() as other, other.deliveries(1) as theirs:
            assert await ids_of(theirs, 1) == ["2"]  # though the other has asked before
        assert not third.done()
        await queue.publish([event("next")])
        await first.ack()
        assert (await asyncio.wait_for(third, 60)).event.get_id() == "next"


async def test_a_wait_that_is_cancelled_loses_nothing(queue: JobQueue, event: Events) -> None:
    numbers = [str(number) for number in range(50)]
    found: list[str] = []
    async with queue.deliveries(1) as deliveries:
        publishing = asyncio.create_task(_publish_slowly(queue, [event(number) for number in numbers]))
        while len(found) < len(numbers):
            waiting = asyncio.ensure_future(anext(deliveries))
            await asyncio.wait({waiting}, timeout=0.01)
            if waiting.cancel():
                await asyncio.wait({waiting})
                if waiting.cancelled():
                    continue
            await waiting.result().ack()
            found.append(str(waiting.result().event.get_id()))
        await publishing
    assert found == numbers


async def _publish_slowly(queue: JobQueue, events: list[CloudEvent]) -> None:
    for one in events:
        await queue.publish([one])
        await asyncio.sleep(0.005)


async def test_several_tasks_may_share_the_deliveries(queue: JobQueue, event: Events) -> None:
    await queue.publish([event(str(number)) for number in range(30)])
    async with queue.deliveries(3) as deliveries:
        found = await asyncio.gather(*(ids_of(deliveries, 10) for _ in range(3)))
    assert sorted((name for names in found for name in names), key=int) == [str(number) for number in range(30)]


async def test_after_leaving_what_was_handed_out_can_still_be_settled(
    queue: JobQueue, open_queue: OpenQueue, event: Events
) -> None:
    await queue.publish([event("one"), event("two")])
    async with queue.deliveries(2) as deliveries:
        one, two = await next_of(deliveries), await next_of(deliveries)
    await one.ack()
    async with open_queue() as other:
        await eventually(lambda: _is(other, Depth(ready=0, in_flight=1)))
        await two.park("after leaving")
        assert await eventually(lambda: _is(other, Depth(ready=0, in_flight=0)))
        assert [letter.reason for letter in await other.dead_letters()] == ["after leaving"]


async def test_after_leaving_nothing_new_comes(queue: JobQueue, open_queue: OpenQueue, event: Events) -> None:
    async with queue.deliveries(5) as deliveries:
        waiting = asyncio.ensure_future(anext(deliveries, None))
        await asyncio.sleep(0)
    await queue.publish([event("new")])
    async with open_queue() as other, other.deliveries(1) as theirs:
        assert await ids_of(theirs, 1) == ["new"]
    assert await asyncio.wait_for(waiting, 60) is None
    assert await asyncio.wait_for(anext(deliveries, None), 60) is None


async def test_leaving_gives_back_what_was_fetched_ahead(queue: JobQueue, open_queue: OpenQueue, event: Events) -> None:
    await queue.publish([event(str(number)) for number in range(5)])
    async with queue.deliveries(5) as mine:
        kept = await next_of(mine)
    async with open_queue() as other, other.deliveries(1) as theirs:
        assert sorted(await ids_of(theirs, 4)) == ["1", "2", "3", "4"]
    await kept.ack()


async def test_leaving_in_the_middle_of_a_fetch_gives_back_too(
    queue: JobQueue, open_queue: OpenQueue, event: Events
) -> None:
    await queue.publish([event("only")])
    for steps in range(6):
        async with queue.deliveries(1) as mine:
            waiting = asyncio.ensure_future(anext(mine))
            for _ in range(steps):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})
            if not waiting.cancelled():
                await waiting.result().release()
    async with open_queue() as other, other.deliveries(1) as theirs:
        assert await ids_of(theirs, 1) == ["only"]


async def test_closing_the_queue_gives_back_what_is_unsettled(
    queue: JobQueue, open_queue: OpenQueue, event: Events
) -> None:
    await queue.publish([event("first"), event("second")])
    async with open_queue() as closing, closing.deliveries(2) as deliveries:
        assert [(await next_of(deliveries)).event.get_id() for _ in range(2)] == ["first", "second"]
    async with queue.deliveries(2) as deliveries:
        assert sorted(await ids_of(deliveries, 2)) == ["first", "second"]


async def test_a_full_queue_refuses_until_there_is_room(open_queue: OpenQueue, event: Events) -> None:
    async with open_queue(max_length=10) as queue:
        taken = await _fill(queue, event)
        assert 10 <= taken <= 30  # "at the bound": a broker may let a few more in
        async with queue.deliveries(1) as deliveries:
            await ids_of(deliveries, taken)
        await queue.publish([event("room")])
        async with queue.deliveries(1) as deliveries:
            assert await ids_of(deliveries, 1) == ["room"]


async def _fill(queue: JobQueue, event: Events) -> int:
    for taken in range(31):
        try:
            await queue.publish([event()])
        except QueueFullError:
            return taken
    return 31


async def test_too_many_at_once_are_refused(open_queue: OpenQueue, event: Events) -> None:
    async with open_queue(max_length=10) as queue:
        with pytest.raises(QueueFullError):
            await queue.publish([event() for _ in range(100)])


async def test_every_handle_sees_the_same_queue(open_queue: OpenQueue, event: Events) -> None:
    async with open_queue() as first, open_queue() as second:
        await first.publish([event(), event()])
        assert await eventually(lambda: _is(second, Depth(ready=2, in_flight=0)))
        await second.publish([event()])
        assert await eventually(lambda: _is(first, Depth(ready=3, in_flight=0)))


async def _is(queue: JobQueue, depth: Depth) -> bool:
    return await queue.depth() == depth
