"""One consumer on one channel, and what was delivered on it. A delivery can only be settled where it came from."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as Driver
from aiormq.abc import DeliveredMessage
from cloudevents.core.v1.event import CloudEvent

from jobs.adapters.batches import Batches
from jobs.adapters.rabbitmq import messages
from jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection, close_quietly
from jobs.adapters.rabbitmq.messages import Message
from jobs.adapters.rabbitmq.publisher import Publisher
from jobs.adapters.rabbitmq.topology import Topology
from jobs.errors import EssaimError, MessageUnreadableError, UnavailableError
from jobs.telemetry import log


@dataclass(frozen=True)
class Outlet:
    """What consumers of a queue share. `changed` is called whenever the number of unsettled deliveries has changed."""

    connection: RabbitConnection
    topology: Topology
    publisher: Publisher
    changed: Callable[[], None]
    sessions: "set[Session]" = field(default_factory=set)

    def unsettled(self) -> int:
        return sum(len(session.unsettled) for session in self.sessions)


class RabbitDelivery:
    """A message of one session. When its channel is lost, it comes back by itself."""

    def __init__(self, event: CloudEvent, message: DeliveredMessage, session: "Session") -> None:
        self._event = event
        self._message = message
        self._session = session
        self._settled = False

    @property
    def event(self) -> CloudEvent:
        return self._event

    async def ack(self) -> None:
        if self._first():
            await self._session.ack(self._message)

    async def release(self) -> None:
        if self._first():
            await self._session.give_back(self._message)

    async def retry(self, delay: float) -> None:
        if self._first():
            await self._session.retry(self._message, max(0.0, delay))

    async def park(self, reason: str) -> None:
        if self._first():
            await self._session.park(self._message, reason)

    def _first(self) -> bool:
        first, self._settled = not self._settled, True
        return first


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

    async def close_when_settled(self) -> None:
        self._stopped = True
        await self._close_if_settled()

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
        """First there, then gone from here: a crash in between makes two of it, never none."""
        try:
            await self.outlet.publisher.publish(await queue(), [copy])
        except BaseException:
            await self.give_back(message)
            raise
        await self.ack(message)

    async def _settle(self, message: DeliveredMessage, how: Callable[[int], Awaitable[None]]) -> None:
        tag = messages.tag_of(message)
        if tag not in self.unsettled:
            raise UnavailableError(f"RabbitMQ at {self.outlet.connection.address} has taken this delivery back")
        self._astray.add(tag)
        try:
            with self.outlet.connection.told():
                async with asyncio.timeout(CALL_SECONDS):
                    await how(tag)
            self._astray.discard(tag)
        finally:
            self.unsettled.discard(tag)
            self.outlet.changed()
            await self._close_if_settled()

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
        self.outlet.sessions.add(self)
        self._channel.close_callbacks.add(self._lose)
        await self._channel.set_qos(prefetch_count=prefetch, timeout=CALL_SECONDS)
        driver = await self._channel.get_underlay_channel()
        driver.on_consumer_cancel_callbacks.add(lambda _: self.lost.set())
        consuming = await driver.basic_consume(self.outlet.topology.main, self._deliver, timeout=CALL_SECONDS)
        self._driver, self._tag = driver, consuming.consumer_tag or ""

    async def _deliver(self, message: DeliveredMessage) -> None:
        self.unsettled.add(messages.tag_of(message))
        self.outlet.changed()
        try:
            if self._stopped:
                await self.give_back(message)
                return
            try:
                event = messages.read(message)
            except MessageUnreadableError as error:
                await self.park(message, str(error))
            else:
                self._arrive(RabbitDelivery(event, message, self))
        except EssaimError as error:
            log("delivery.came_back", level=logging.WARNING, reason=error)

    def _lose(self, *_: object) -> None:
        """The channel is gone, and with it the right to settle anything."""
        self.unsettled.clear()
        self.outlet.sessions.discard(self)
        self.outlet.changed()
        self.lost.set()

    async def _close_if_settled(self) -> None:
        if self._stopped and not self.unsettled and self._closing is None:
            self._closing = asyncio.create_task(close_quietly(self._channel))
            self._closing.add_done_callback(self._lose)
