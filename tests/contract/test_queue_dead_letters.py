"""What the queue promises about messages that nobody could handle."""

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.v1.event import CloudEvent

from essaim.jobs.events import load
from essaim.jobs.model import Depth
from essaim.jobs.ports import JobQueue
from tests.conftest import eventually
from tests.contract.deliveries import next_of

Events = Callable[..., CloudEvent]
Inject = Callable[[bytes], Awaitable[None]]
OpenQueue = Callable[..., AbstractAsyncContextManager[JobQueue]]

UNREADABLE = [b"", b"no JSON", b"\xff\xfe\x00", b"{}", b"null", b"[1, 2]", b'{"specversion": "1.0"}', b"[" * 100_000]


async def park_all(queue: JobQueue, reasons: list[str]) -> None:
    async with queue.deliveries(1) as deliveries:
        for reason in reasons:
            await (await next_of(deliveries)).park(reason)


def same(event: CloudEvent) -> CloudEvent:
    return event


async def test_a_parked_message_is_listed_with_its_reason(queue: JobQueue, event: Events) -> None:
    before = datetime.now(UTC)
    sent = event("poison", words=["liberté"])
    await queue.publish([sent])
    await park_all(queue, ["it was « too much »"])
    (letter,) = await eventually(queue.dead_letters)
    assert letter.reason == "it was « too much »"
    assert letter.event is not None
    assert (letter.event["id"], letter.event["data"]) == ("poison", {"words": ["liberté"]})
    assert load(letter.body).get_attributes() == sent.get_attributes()
    assert load(letter.body).get_data() == sent.get_data()
    assert abs((letter.parked - before).total_seconds()) < 3600  # a time, in the right zone
    assert await queue.depth() == Depth(ready=0, in_flight=0)


async def test_dead_letters_come_oldest_first_and_no_more_than_asked_for(queue: JobQueue, event: Events) -> None:
    await queue.publish([event() for _ in range(5)])
    await park_all(queue, ["a", "b", "c", "d", "e"])
    await eventually(lambda: _lists(queue, 5))
    assert [letter.reason for letter in await queue.dead_letters()] == ["a", "b", "c", "d", "e"]
    assert [letter.reason for letter in await queue.dead_letters(limit=2)] == ["a", "b"]


@pytest.mark.parametrize("reason", ["", "half a pair: \udce9", "x" * 5000], ids=["empty", "surrogate", "long"])
async def test_any_reason_will_do(queue: JobQueue, event: Events, reason: str) -> None:
    await queue.publish([event("poison")])
    await park_all(queue, [reason])
    (letter,) = await eventually(queue.dead_letters)
    assert letter.event is not None
    assert letter.event["id"] == "poison"


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_cannot_be_read_is_parked_and_the_rest_goes_on(
    queue: JobQueue, inject: Inject, event: Events, body: bytes
) -> None:
    await inject(body)
    await queue.publish([event("good")])
    async with queue.deliveries(1) as deliveries:
        assert (await next_of(deliveries)).event.get_id() == "good"
    (letter,) = await eventually(queue.dead_letters)
    assert letter.event is None
    assert letter.body == body
    assert letter.reason


async def test_dead_letters_are_those_of_the_release(
    queue: JobQueue, open_queue: OpenQueue, event: Events, release: str
) -> None:
    async with open_queue(release=f"{release}-other") as other:
        await other.publish([event("theirs")])
        await park_all(other, ["theirs"])
        await eventually(lambda: _lists(other, 1))
        assert await queue.dead_letters() == []
        assert await queue.replay(None, same) == 0
        assert await _lists(other, 1)


async def test_replay_publishes_all_again_as_revised(queue: JobQueue, event: Events) -> None:
    await queue.publish([event("one"), event("two")])
    await park_all(queue, ["a", "b"])
    await eventually(lambda: _lists(queue, 2))

    assert await queue.replay(None, lambda old: event(f"{old.get_id()} again", number=1)) == 2
    assert await queue.dead_letters() == []
    async with queue.deliveries(2) as deliveries:
        found = [await next_of(deliveries), await next_of(deliveries)]
    assert [one.event.get_id() for one in found] == ["one again", "two again"]
    assert found[0].event.get_data() == {"number": 1}


async def test_replay_of_some_leaves_the_others(queue: JobQueue, event: Events) -> None:
    await queue.publish([event(name) for name in ("one", "two", "three")])
    await park_all(queue, ["a", "b", "c"])
    await eventually(lambda: _lists(queue, 3))
    letters = await queue.dead_letters()

    assert await queue.replay([letters[1].id, "no such id", "-1"], same) == 1
    assert [letter.reason for letter in await queue.dead_letters()] == ["a", "c"]
    async with queue.deliveries(2) as deliveries:
        assert (await next_of(deliveries)).event.get_id() == "two"
    assert await queue.replay([letters[1].id], same) == 0
    assert await queue.replay([], same) == 0
    assert await _lists(queue, 2)


async def test_what_cannot_be_read_is_replayed_as_it_is(queue: JobQueue, inject: Inject, event: Events) -> None:
    await inject(b"no JSON")
    await queue.publish([event("good")])
    async with queue.deliveries(1) as deliveries:
        await (await next_of(deliveries)).ack()
        await eventually(lambda: _lists(queue, 1))
        assert await queue.replay(None, same) == 1
        await queue.publish([event("better")])
        assert (await next_of(deliveries)).event.get_id() == "better"
    (letter,) = await eventually(queue.dead_letters)
    assert letter.body == b"no JSON"


async def test_a_replayed_message_can_be_parked_again(queue: JobQueue, event: Events) -> None:
    await queue.publish([event("poison")])
    await park_all(queue, ["first"])
    await eventually(lambda: _lists(queue, 1))
    await queue.replay(None, same)
    await park_all(queue, ["second"])
    (letter,) = await eventually(queue.dead_letters)
    assert letter.reason == "second"


async def test_many_are_replayed(queue: JobQueue, inject: Inject, event: Events) -> None:
    """More than any adapter handles at once."""
    await queue.publish([event(str(number)) for number in range(700)])
    await park_all(queue, ["many"] * 700)
    await eventually(lambda: _lists(queue, 700))
    assert await queue.replay(None, same) == 700
    assert await queue.dead_letters() == []
    assert await eventually(lambda: _waits(queue, 700))


async def test_what_was_parked_before_a_time_is_deleted(queue: JobQueue, event: Events) -> None:
    await queue.publish([event() for _ in range(70)])  # more than one batch of any adapter
    await park_all(queue, ["old"] * 69)
    await eventually(lambda: _lists(queue, 69))
    assert await queue.purge(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await _lists(queue, 69)

    between = datetime.now(UTC)
    await park_all(queue, ["young"])
    await eventually(lambda: _lists(queue, 70))
    assert await queue.purge(between) == 69
    (letter,) = await queue.dead_letters()
    assert letter.reason == "young"


async def test_dead_letters_take_no_room_in_the_queue(open_queue: OpenQueue, event: Events) -> None:
    async with open_queue(max_length=5) as queue:
        for _ in range(3):
            await queue.publish([event() for _ in range(5)])
            await park_all(queue, ["dead"] * 5)


async def test_a_message_that_nobody_could_read_shows_in_json_what_could_be(
    queue: JobQueue, inject: Inject, event: Events
) -> None:
    """A type that this version does not know is still an event: it comes out, and is shown when it is parked."""
    body = json.dumps({"specversion": "1.0", "id": "new", "type": "of.tomorrow", "source": "/x", "later": "1"})
    await inject(body.encode())
    await park_all(queue, ["unknown type"])
    (letter,) = await eventually(queue.dead_letters)
    assert letter.event == json.loads(body)


async def _lists(queue: JobQueue, how_many: int) -> bool:
    return len(await queue.dead_letters(limit=1000)) == how_many


async def _waits(queue: JobQueue, how_many: int) -> bool:
    return (await queue.depth()).ready == how_many
