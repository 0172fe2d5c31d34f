"""The queue of parked messages: listed, replayed and purged."""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime

from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from cloudevents.core.v1.event import CloudEvent

from essaim.errors import EssaimError, MessageUnreadableError
from essaim.jobs.adapters.rabbitmq import messages
from essaim.jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection, Topology
from essaim.jobs.adapters.rabbitmq.publisher import Publisher
from essaim.jobs.model import DeadLetter

REPLAY_BATCH = 30  # a quorum queue forgets what a closing channel has settled beyond 32 that it has not heard of yet
MOST_AT_ONCE = 65_535  # the most that AMQP can count
LOOK_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.005

Revise = Callable[[CloudEvent], CloudEvent]


class DeadLetters:
    """AMQP cannot read a message without taking it: while one process lists or replays, others do not see what it took."""

    def __init__(self, connection: RabbitConnection, topology: Topology, publisher: Publisher) -> None:
        self._connection = connection
        self._topology = topology
        self._publisher = publisher

    async def oldest(self, limit: int) -> Sequence[DeadLetter]:
        await self._topology.declare()
        async with self._connection.channel() as channel:
            taken = await self._take(channel, limit)
            await self._give_back(channel, taken)
        return sorted((_dead_letter(message) for message in taken), key=lambda letter: letter.parked)

    async def replay(self, ids: Collection[str] | None, revise: Revise) -> int:
        await self._topology.declare()
        replayed = 0
        kept: list[DeliveredMessage] = []
        error: EssaimError | None = None
        async with self._connection.channel() as channel:
            left = await self._count(channel)  # what is parked again meanwhile stays
            while left > 0 and error is None and (taken := await self._take(channel, min(left, REPLAY_BATCH))):
                left -= len(taken)
                chosen = [message for message in taken if ids is None or messages.parking(message).id in ids]
                kept += [message for message in taken if message not in chosen]
                outcomes = await self._publisher.send(self._topology.main, [_revised(one, revise) for one in chosen])
                for message, outcome in zip(chosen, outcomes, strict=True):
                    if outcome is None:
                        await message.channel.basic_ack(messages.tag_of(message))
                        replayed += 1
                    else:
                        kept.append(message)
                        error = outcome
            await self._give_back(channel, kept)
        if error is not None:
            raise error
        return replayed

    async def purge(self, before: datetime) -> int:
        await self._topology.declare()
        purged = 0
        kept: list[DeliveredMessage] = []  # RabbitMQ 3.10 does not keep the order of what was given back
        async with self._connection.channel() as channel:
            left = await self._count(channel)
            while left > 0 and (taken := await self._take(channel, min(left, REPLAY_BATCH))):
                left -= len(taken)
                old = [message for message in taken if messages.parking(message).parked < before]
                kept += [message for message in taken if message not in old]
                for message in old:
                    await message.channel.basic_ack(messages.tag_of(message))
                purged += len(old)
            await self._give_back(channel, kept)
        return purged

    async def _give_back(self, channel: AbstractChannel, taken: Sequence[DeliveredMessage]) -> None:
        """Return all in one frame, which keeps their order (nothing else on this channel is unsettled), and wait for it."""
        if not taken:
            return
        driver = await channel.get_underlay_channel()
        await driver.basic_nack(0, multiple=True, requeue=True)
        with suppress(TimeoutError):  # somebody else has them already
            async with asyncio.timeout(LOOK_SECONDS):
                while await self._count(channel) < len(taken):  # noqa: ASYNC110  # the broker sends no event
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _count(self, channel: AbstractChannel) -> int:
        queue = await channel.declare_queue(self._topology.dead, passive=True, timeout=CALL_SECONDS)
        return queue.declaration_result.message_count or 0

    async def _take(self, channel: AbstractChannel, limit: int) -> list[DeliveredMessage]:
        """Take the oldest, by a consumer rather than one by one, since the broker settles by consumer."""
        most = min(limit, await self._count(channel), MOST_AT_ONCE)
        taken: list[DeliveredMessage] = []
        if most <= 0:
            return taken
        enough = asyncio.Event()

        async def take(message: DeliveredMessage) -> None:
            taken.append(message)
            if len(taken) == most:
                enough.set()

        await channel.set_qos(prefetch_count=most, timeout=CALL_SECONDS)
        driver = await channel.get_underlay_channel()
        consuming = await driver.basic_consume(self._topology.dead, take, timeout=CALL_SECONDS)
        with suppress(TimeoutError):  # somebody else has taken the others
            async with asyncio.timeout(LOOK_SECONDS):
                await enough.wait()
        await driver.basic_cancel(consuming.consumer_tag or "", timeout=CALL_SECONDS)
        return taken


def _dead_letter(message: DeliveredMessage) -> DeadLetter:
    parking = messages.parking(message)
    try:
        body = messages.read_json(message)
    except MessageUnreadableError:
        return DeadLetter(parking.id, parking.reason, parking.parked, None, message.body)
    return DeadLetter(parking.id, parking.reason, parking.parked, json.loads(body), body)


def _revised(message: DeliveredMessage, revise: Revise) -> messages.Message:
    try:
        event = messages.read(message)
    except MessageUnreadableError:
        return messages.copy(message)
    return messages.to_message(revise(event))
