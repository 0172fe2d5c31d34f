"""Deliveries to this process, over connections that come and go. A delivery can be settled only on the channel it came from."""

import asyncio
import logging
import random
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as Driver
from aiormq.abc import DeliveredMessage
from cloudevents.core.v1.event import CloudEvent

from essaim.errors import EssaimError, MessageUnreadableError, UnavailableError
from essaim.jobs.adapters.batches import Batches
from essaim.jobs.adapters.rabbitmq import messages
from essaim.jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection, Topology, close_quietly
from essaim.jobs.adapters.rabbitmq.messages import Message
from essaim.jobs.adapters.rabbitmq.publisher import Publisher
from essaim.telemetry import log

FIRST_PAUSE = 0.1  # seconds before the first attempt to consume again; doubles
LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class Outlet:
    """What the consumers of a queue share. `changed` is called whenever `in_hand` has changed.

    `in_hand`: the deliveries that this process has not settled yet, including those that the broker has taken back while
    their work continues. `settled` is set whenever one has left.
    """

    connection: RabbitConnection
    topology: Topology
    publisher: Publisher
    changed: Callable[[], None]
    in_hand: "set[RabbitDelivery]" = field(default_factory=set)
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class RabbitDelivery:
    """A message of one session. If its channel is lost and this process gets the message again, this delivery adopts it."""

    def __init__(self, event: CloudEvent, message: DeliveredMessage, session: "Session") -> None:
        self._event = event
        self._message = message
        self.session = session
        self._settled = False

    @property
    def event(self) -> CloudEvent:
        return self._event

    @property
    def astray(self) -> bool:
        """Its consumer is gone, so the broker may have delivered the message to another one."""
        return self.session.lost.is_set()

    async def ack(self) -> None:
        await self._settle(lambda: self.session.ack(self._message))

    async def release(self) -> None:
        await self._settle(lambda: self.session.give_back(self._message))

    async def retry(self, delay: float) -> None:
        await self._settle(lambda: self.session.retry(self._message, max(0.0, delay)))

    async def park(self, reason: str) -> None:
        await self._settle(lambda: self.session.park(self._message, reason))

    def adopt(self, again: "RabbitDelivery") -> bool:
        """Take the place of `again` if it is this message, which the broker had taken back and delivered again."""
        if self._settled or not self.astray or self._event.get_id() != again._event.get_id():
            return False
        self.session.forget(self._message)
        self._message, self.session = again._message, again.session
        again._settled = True
        self.session.outlet.in_hand.discard(again)
        return True

    async def _settle(self, how: Callable[[], Awaitable[None]]) -> None:
        if self._settled:
            return
        self._settled = True
        try:
            await how()
        finally:
            self.session.outlet.in_hand.discard(self)
            self.session.outlet.settled.set()
            self.session.outlet.changed()


class Session:
    """A consumer until it is `lost`, and its channel until all its deliveries are settled."""

    def __init__(self, outlet: Outlet, channel: AbstractChannel, arrive: Callable[[RabbitDelivery], None]) -> None:
        self.outlet = outlet
        self.lost = asyncio.Event()
        self.unsettled: set[int] = set()
        # Settled, but perhaps not received by the broker: redelivered if the channel is lost.
        self._astray: set[int] = set()
        self._channel = channel
        self._arrive = arrive
        self._driver: Driver | None = None
        self._tag = ""
        self._stopped = False
        self._closing: asyncio.Task[None] | None = None
        self._acks = Batches[int, None](self._ack)

    @classmethod
    async def open(cls, outlet: Outlet, prefetch: int, arrive: Callable[[RabbitDelivery], None]) -> "Session":
        await outlet.topology.declare()
        session = cls(outlet, await outlet.connection.open_channel(), arrive)
        try:
            with outlet.connection.translating_errors():
                await session._consume(prefetch)
        except BaseException:
            outlet.topology.forget()
            session._lose()
            await close_quietly(session._channel)
            raise
        return session

    async def stop(self) -> None:
        """Stop consuming."""
        self._stopped = True
        if self._driver is not None and not self._channel.is_closed:
            try:
                with self.outlet.connection.translating_errors():
                    await self._driver.basic_cancel(self._tag, timeout=CALL_SECONDS)
            except UnavailableError:
                await close_quietly(self._channel)

    def forget(self, message: DeliveredMessage) -> None:
        """Drop a message that was delivered again elsewhere: it will not be settled here."""
        self.unsettled.discard(messages.tag_of(message))
        self._close_if_settled()

    def close_when_settled(self) -> None:
        self._stopped = True
        self._close_if_settled()

    async def ack(self, message: DeliveredMessage) -> None:
        await self._settle(message, self._acks.ask)

    async def give_back(self, message: DeliveredMessage) -> None:
        await self._settle(message, lambda tag: message.channel.basic_nack(tag, requeue=True))

    async def retry(self, message: DeliveredMessage, delay: float) -> None:
        later = messages.copy(message, expiration=delay)
        await self._move(message, lambda: self.outlet.topology.wait_queue(delay), later)

    async def park(self, message: DeliveredMessage, reason: str) -> None:
        await self._move(message, self.outlet.topology.dead_queue, messages.parked_copy(message, reason))

    async def _move(self, message: DeliveredMessage, queue: Callable[[], Awaitable[str]], copy: Message) -> None:
        """Publish the copy, then ack: a crash in between duplicates the message, never loses it.

        A message that the broker has taken back is not copied: it is delivered again anyway.
        """
        self._held(message)
        try:
            await self.outlet.publisher.publish(await queue(), [copy])
        except BaseException:
            await self.give_back(message)
            raise
        await self.ack(message)

    def _held(self, message: DeliveredMessage) -> int:
        """The tag of the delivery. Raises `UnavailableError` if it can no longer be settled here."""
        tag = messages.tag_of(message)
        if tag not in self.unsettled:
            raise UnavailableError(f"RabbitMQ at {self.outlet.connection.address} has taken this delivery back")
        return tag

    async def _settle(self, message: DeliveredMessage, how: Callable[[int], Awaitable[None]]) -> None:
        tag = self._held(message)
        self._astray.add(tag)
        try:
            with self.outlet.connection.translating_errors():
                async with asyncio.timeout(CALL_SECONDS):
                    await how(tag)
            self._astray.discard(tag)
        finally:
            self.unsettled.discard(tag)
            self._close_if_settled()

    async def _ack(self, tags: Sequence[int]) -> list[None]:
        """One frame for all up to the oldest unsettled delivery, and one for each of the others.

        Do not wait until they are written (`wait`): the broker sends no answer, and messages whose ack is lost come back.
        """
        driver = await self._channel.get_underlay_channel()
        oldest = min((self.unsettled | self._astray).difference(tags), default=max(tags) + 1)
        if before := [tag for tag in tags if tag < oldest]:
            await driver.basic_ack(max(before), multiple=True, wait=False)
        for tag in [tag for tag in tags if tag > oldest]:
            await driver.basic_ack(tag, wait=False)
        return [None] * len(tags)

    async def _consume(self, prefetch: int) -> None:
        self._channel.close_callbacks.add(self._lose)
        await self._channel.set_qos(prefetch_count=prefetch, timeout=CALL_SECONDS)
        driver = await self._channel.get_underlay_channel()
        driver.on_consumer_cancel_callbacks.add(lambda _: self.lost.set())
        consuming = await driver.basic_consume(self.outlet.topology.main, self._deliver, timeout=CALL_SECONDS)
        self._driver, self._tag = driver, consuming.consumer_tag or ""

    async def _deliver(self, message: DeliveredMessage) -> None:
        self.unsettled.add(messages.tag_of(message))
        try:
            if self._stopped:
                await self.give_back(message)
                return
            try:
                event = messages.read(message)
            except MessageUnreadableError as error:
                await self.park(message, str(error))
            else:
                delivery = RabbitDelivery(event, message, self)
                self.outlet.in_hand.add(delivery)
                self.outlet.changed()
                self._arrive(delivery)
        except EssaimError as error:
            log("delivery.came_back", level=logging.WARNING, reason=error)

    def _lose(self, *_: object) -> None:
        """The channel is gone: its deliveries can no longer be settled."""
        self.unsettled.clear()
        self.lost.set()

    def _close_if_settled(self) -> None:
        if self._stopped and not self.unsettled and self._closing is None:
            self._closing = asyncio.create_task(close_quietly(self._channel))
            self._closing.add_done_callback(self._lose)


def ignores_timeout(version: str) -> bool:
    """Whether this version ignores the queue argument `x-consumer-timeout` (RabbitMQ before 3.11.15)."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return bool(numbers) and numbers < (3, 11, 15)


class RabbitDeliveries:
    """An iterator of deliveries, at most `prefetch` unsettled at a time. It reconnects when its consumer is lost.

    A broker may take back deliveries that were held for too long. Their work continues and counts against `prefetch`:
    further deliveries are given back, and consuming stops until there is room.
    """

    def __init__(self, outlet: Outlet, prefetch: int) -> None:
        self._outlet = outlet
        self._prefetch = prefetch
        self._session: Session | None = None
        self._waiting: deque[RabbitDelivery] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._overfull = False
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._session = await self._consume()
        version = await self._outlet.connection.server_version()
        if ignores_timeout(version):
            log("queue.timeout_ignored", level=logging.WARNING, version=version)
        self._watching = asyncio.create_task(self._watch())

    def __aiter__(self) -> "RabbitDeliveries":
        return self

    async def __anext__(self) -> RabbitDelivery:
        while not self._closed:
            if self._waiting and not self._crowded():
                return self._waiting.popleft()
            self._arrived.clear()
            await self._arrived.wait()
        raise StopAsyncIteration

    async def close(self) -> None:
        """Hand out no more, and give back what was not handed out."""
        self._closed = True
        self._arrived.set()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        await self._leave()

    async def _consume(self) -> Session:
        return await Session.open(self._outlet, self._prefetch, self._arrive)

    def _arrive(self, delivery: RabbitDelivery) -> None:
        if any(held.adopt(delivery) for held in self._outlet.in_hand - {delivery}):
            log("delivery.adopted", queue=self._outlet.topology.main)
            return
        self._waiting.append(delivery)
        self._arrived.set()
        if self._crowded():
            self._overfull = True
            delivery.session.lost.set()

    def _crowded(self) -> bool:
        """More has arrived than there is room for, because work continues on deliveries that the broker has taken back."""
        in_hand = self._outlet.in_hand
        return len(in_hand) > self._prefetch and any(delivery.astray for delivery in in_hand)

    async def _watch(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if self._session is None:
                    self._session = await self._consume()
                    log("queue.consuming_again", queue=self._outlet.topology.main)
                    pause = FIRST_PAUSE
                await self._session.lost.wait()
                if not self._overfull:
                    log("queue.consumer_lost", level=logging.WARNING, queue=self._outlet.topology.main)
            except UnavailableError as error:
                log("queue.unavailable", level=logging.WARNING, reason=error)
            await self._leave()
            if self._overfull:
                await self._room()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # so that not all reconnect at once
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _room(self) -> None:
        """Wait until there is room for another delivery."""
        while len(self._outlet.in_hand) >= self._prefetch:
            self._outlet.settled.clear()
            await self._outlet.settled.wait()
        self._overfull = False

    async def _leave(self) -> None:
        """Give back what has arrived and was not handed out. (A lost channel has done so already.)"""
        session, self._session = self._session, None
        if session is None:
            return
        await session.stop()
        waiting = list(self._waiting)
        self._waiting.clear()
        for delivery in waiting:
            with suppress(UnavailableError):
                await delivery.release()
        session.close_when_settled()
