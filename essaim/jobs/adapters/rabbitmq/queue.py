"""The queue in RabbitMQ 3.10 or newer. docs/decisions/0008-rabbitmq.md has the reasons."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from cloudevents.core.v1.event import CloudEvent

from essaim.errors import SettingsError, UnavailableError
from essaim.jobs.adapters.rabbitmq import messages
from essaim.jobs.adapters.rabbitmq.connection import CALL_SECONDS, REFUSALS, RabbitConnection, Topology
from essaim.jobs.adapters.rabbitmq.consumer import Outlet, RabbitDeliveries, RabbitDelivery
from essaim.jobs.adapters.rabbitmq.dead_letters import DeadLetters
from essaim.jobs.adapters.rabbitmq.in_flight import InFlight
from essaim.jobs.adapters.rabbitmq.publisher import Notifier, Publisher
from essaim.jobs.model import DeadLetter, Depth


@asynccontextmanager
async def open_rabbitmq_queue(url: str, release: str, max_length: int) -> AsyncIterator["RabbitQueue"]:
    """The queue of a release, of about `max_length` messages, at `amqp(s)://user:password@host:port/vhost`.

    Closing it gives back what was delivered and not settled. Raises `SettingsError` for what is no such URL or is refused
    by the broker, `UnavailableError` if the broker cannot be reached.
    """
    queue = RabbitQueue(url, release, max_length)
    try:
        await queue.open()
        yield queue
    finally:
        await queue.close()


class RabbitQueue:
    """See `essaim.jobs.ports.JobQueue`."""

    def __init__(self, url: str, release: str, max_length: int) -> None:
        self._publishing = RabbitConnection(url)
        self._consuming = RabbitConnection(url)
        self._topology = Topology(self._consuming, release, max_length)
        self._publisher = Publisher(self._publishing, self._topology, max_length)
        self._notifier = Notifier(self._publishing, release)
        self._outlet = Outlet(self._consuming, self._topology, self._publisher, lambda: self._in_flight.changed())
        self._in_flight = InFlight(self._consuming, self._topology, lambda: len(self._outlet.in_hand))
        self._dead_letters = DeadLetters(self._consuming, self._topology, self._publisher)

    async def open(self) -> None:
        try:
            await self._topology.declare()
        except UnavailableError as error:
            if isinstance(error.__cause__, REFUSALS):  # waiting would not help
                raise SettingsError(f"ESSAIM_QUEUE_URL: {error}") from error
            raise

    async def close(self) -> None:
        await self._notifier.close()
        await self._in_flight.close()
        await self._consuming.close()
        await self._publishing.close()

    async def publish(self, events: Sequence[CloudEvent], *, delay: float = 0.0) -> None:
        queue = await self._topology.wait_queue(delay) if delay else self._topology.main
        expiration = delay or None
        await self._publisher.publish(queue, [messages.to_message(event, expiration=expiration) for event in events])

    def notify(self, event: CloudEvent) -> None:
        self._notifier.notify(event)

    @asynccontextmanager
    async def deliveries(self, prefetch: int) -> AsyncIterator[AsyncIterator[RabbitDelivery]]:
        deliveries = RabbitDeliveries(self._outlet, prefetch)
        try:
            await deliveries.open()
            yield deliveries
        finally:
            await deliveries.close()

    async def depth(self) -> Depth:
        await self._in_flight.adjust()
        try:
            return await self._look()
        except UnavailableError:
            self._topology.forget()  # perhaps it is only that somebody has deleted a queue
            await self._topology.declare()
            return await self._look()

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadLetter]:
        return await self._dead_letters.oldest(limit)

    async def replay(self, ids: Collection[str] | None, revise: Callable[[CloudEvent], CloudEvent]) -> int:
        return await self._dead_letters.replay(ids, revise)

    async def purge(self, before: datetime) -> int:
        return await self._dead_letters.purge(before)

    async def _look(self) -> Depth:
        async with self._consuming.channel() as channel:
            main = await channel.declare_queue(self._topology.main, passive=True, timeout=CALL_SECONDS)
            busy = await channel.declare_queue(self._topology.busy, passive=True, timeout=CALL_SECONDS)
        return Depth(
            ready=main.declaration_result.message_count or 0,
            in_flight=busy.declaration_result.consumer_count or 0,
        )
