"""The queue of parked messages: looked at and put back, or replayed."""

import json
from collections.abc import Callable, Collection, Sequence

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from cloudevents.core.v1.event import CloudEvent

from jobs.adapters.rabbitmq import messages
from jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection
from jobs.adapters.rabbitmq.publisher import Publisher
from jobs.adapters.rabbitmq.topology import Topology
from jobs.errors import EssaimError, MessageUnreadableError
from jobs.events import dump
from jobs.model import DeadLetter

REPLAY_BATCH = 200

Revise = Callable[[CloudEvent], CloudEvent]


class DeadLetters:
    """AMQP cannot look without taking: while somebody lists or replays, others do not see what is taken."""

    def __init__(self, connection: RabbitConnection, topology: Topology, publisher: Publisher) -> None:
        self._connection = connection
        self._topology = topology
        self._publisher = publisher

    async def list(self, limit: int) -> Sequence[DeadLetter]:
        await self._topology.declare()
        async with self._connection.channel() as channel:
            queue = await channel.get_queue(self._topology.dead, ensure=False)
            taken = await _take(queue, limit)
            await _give_back(channel, taken)
        return sorted((_dead_letter(message) for message in taken), key=lambda letter: letter.parked)

    async def replay(self, ids: Collection[str] | None, revise: Revise) -> int:
        await self._topology.declare()
        replayed = 0
        kept: list[AbstractIncomingMessage] = []
        async with self._connection.channel() as channel:
            queue = await channel.declare_queue(self._topology.dead, passive=True, timeout=CALL_SECONDS)
            left = queue.declaration_result.message_count or 0  # what is parked again meanwhile stays
            error: EssaimError | None = None
            while left > 0 and error is None and (taken := await _take(queue, min(left, REPLAY_BATCH))):
                left -= len(taken)
                chosen = [message for message in taken if ids is None or messages.parking(message).id in ids]
                kept += [message for message in taken if message not in chosen]
                outcomes = await self._publisher.send(self._topology.main, [_revised(one, revise) for one in chosen])
                for message, outcome in zip(chosen, outcomes, strict=True):
                    if outcome is None:
                        await message.ack()
                        replayed += 1
                    else:
                        kept.append(message)
                        error = outcome
            await _give_back(channel, kept)
            if error is not None:
                raise error
        return replayed


async def _take(queue: AbstractQueue, limit: int) -> list[AbstractIncomingMessage]:
    taken: list[AbstractIncomingMessage] = []
    while len(taken) < limit:
        message = await queue.get(fail=False, timeout=CALL_SECONDS)
        if message is None:
            break
        taken.append(message)
    return taken


async def _give_back(channel: AbstractChannel, taken: Sequence[AbstractIncomingMessage]) -> None:
    """All at once, which keeps their order; on this channel nothing else is unsettled."""
    if taken:
        driver = await channel.get_underlay_channel()
        await driver.basic_nack(0, multiple=True, requeue=True)


def _dead_letter(message: AbstractIncomingMessage) -> DeadLetter:
    parking = messages.parking(message)
    try:
        body = dump(messages.read(message))
        event = json.loads(body)
    except MessageUnreadableError:
        body, event = message.body, None
    return DeadLetter(parking.id, parking.reason, parking.parked, event, body)


def _revised(message: AbstractIncomingMessage, revise: Revise) -> Message:
    try:
        event = messages.read(message)
    except MessageUnreadableError:
        return messages.copy(message)
    return messages.to_message(revise(event))
