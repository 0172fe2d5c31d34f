"""One consumer on one channel, and what was delivered on it. A delivery can only be settled where it came from."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as Driver
from aiormq.abc import DeliveredMessage
from cloudevents.core.v1.event import CloudEvent

from essaim.errors import EssaimError, MessageUnreadableError, UnavailableError
from essaim.jobs.adapters.batches import Batches
from essaim.jobs.adapters.rabbitmq import messages
from essaim.jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection, close_quietly
from essaim.jobs.adapters.rabbitmq.messages import Message
from essaim.jobs.adapters.rabbitmq.publisher import Publisher
from essaim.jobs.adapters.rabbitmq.topology import Topology
from essaim.telemetry import log


@dataclass(frozen=True)
class Outlet:
    """What consumers of a queue share. `changed` is called whenever `in_hand` has changed.

    `in_hand`: the deliveries that this process has not settled yet. One that the broker has taken back stays among them
    while its work goes on. `settled` is set whenever one has left.
    """

    connection: RabbitConnection
    topology: Topology
    publisher: Publisher
    changed: Callable[[], None]
    in_hand: "set[RabbitDelivery]" = field(default_factory=set)
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class RabbitDelivery:
    """A message of one session. When its channel is lost, it comes back: to this process, then this delivery adopts it."""

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
        """Its consumer is gone, and perhaps the broker has delivered the message to somebody else."""
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
        """Take the place of `again` if that is this one's message, which the broker had taken back and delivered anew."""
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
    """A consumer until it is `lost`, and its channel until all that came over it is settled."""

    def __init__(self, outlet: Outlet, channel: AbstractChannel, arrive: Callable[[RabbitDelivery], None]) -> None:
        self.outlet = outlet
        self.lost = asyncio.Event()
        self.unsettled: set[int] = set()
        self._astray: set[int] = set()  # of these the broker may not have heard: they come back with the channel
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
            with outlet.connection.told():
                await session._consume(prefetch)
        except BaseException:
            outlet.topology.forget()
            session._lose()
            await close_quietly(session._channel)
            raise
        return session

    async def stop(self) -> None:
        """Take nothing more."""
        self._stopped = True
        if self._driver is not None and not self._channel.is_closed:
            try:
                with self.outlet.connection.told():
                    await self._driver.basic_cancel(self._tag, timeout=CALL_SECONDS)
            except UnavailableError:
                await close_quietly(self._channel)

    def forget(self, message: DeliveredMessage) -> None:
        """The broker has delivered this one elsewhere: nobody will settle it here."""
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
        """First there, then gone from here: a crash in between makes two of it, never none.

        One that the broker has taken back comes again, so a copy would be a second one.
        """
        self._held(message)
        try:
            await self.outlet.publisher.publish(await queue(), [copy])
        except BaseException:
            await self.give_back(message)
            raise
        await self.ack(message)

    def _held(self, message: DeliveredMessage) -> int:
        """The tag of a delivery that can be settled here. Raises `UnavailableError`."""
        tag = messages.tag_of(message)
        if tag not in self.unsettled:
            raise UnavailableError(f"RabbitMQ at {self.outlet.connection.address} has taken this delivery back")
        return tag

    async def _settle(self, message: DeliveredMessage, how: Callable[[int], Awaitable[None]]) -> None:
        tag = self._held(message)
        self._astray.add(tag)
        try:
            with self.outlet.connection.told():
                async with asyncio.timeout(CALL_SECONDS):
                    await how(tag)
            self._astray.discard(tag)
        finally:
            self.unsettled.discard(tag)
            self._close_if_settled()

    async def _ack(self, tags: Sequence[int]) -> list[None]:
        """One frame for all up to the oldest delivery that is not settled, and one for each of the others.

        None waits until it is written (`wait`): the broker answers nothing, and what is lost with the connection comes back.
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
        """The channel is gone, and with it the right to settle anything."""
        self.unsettled.clear()
        self.lost.set()

    def _close_if_settled(self) -> None:
        if self._stopped and not self.unsettled and self._closing is None:
            self._closing = asyncio.create_task(close_quietly(self._channel))
            self._closing.add_done_callback(self._lose)
