"""Messages out: jobs, each confirmed by the broker; events for listeners in the background, without confirms."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq.abc import AbstractChannel as Driver
from cloudevents.core.v1.event import CloudEvent

from essaim.errors import EssaimError, QueueFullError, UnavailableError
from essaim.jobs.adapters.batches import Batches
from essaim.jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection, Topology, close_quietly
from essaim.jobs.adapters.rabbitmq.messages import Message, to_message
from essaim.telemetry import log

CONFIRM_SECONDS = 10.0
BLOCKED_SECONDS = 1.0
WINDOW = 500  # unconfirmed at once; more is no faster
EXCHANGE = "essaim.jobs"
MOST_WAITING = 1000  # events; the newest are kept, since each has the whole state of its job
CLOSE_SECONDS = 1.0  # to send what is left at shutdown


class Publisher:
    """Publishes on a connection of its own: a broker short of memory blocks connections that publish, and only those."""

    def __init__(self, connection: RabbitConnection, topology: Topology, max_length: int) -> None:
        self._connection = connection
        self._topology = topology
        self._max_length = max_length
        self._window = min(WINDOW, max_length)  # a full queue rejects only later messages
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._batches: dict[str, Batches[Message, EssaimError | None]] = {}

    async def publish(self, queue: str, messages: Sequence[Message]) -> None:
        """Return once the broker has confirmed all. After a `QueueFullError` it may have some of them."""
        if len(messages) == 1:  # a single one shares a batch with concurrent callers
            outcomes: Sequence[EssaimError | None] = [await self._of(queue).ask(messages[0])]
        else:
            outcomes = await self.send(queue, messages)
        for error in outcomes:
            if error is not None:
                raise error

    def _of(self, queue: str) -> Batches[Message, EssaimError | None]:
        if queue not in self._batches:
            self._batches[queue] = Batches(lambda messages: self.send(queue, messages))
        return self._batches[queue]

    async def send(self, queue: str, messages: Sequence[Message]) -> list[EssaimError | None]:
        """The error of each, or None. After the first window with an error, no more are sent."""
        outcomes: list[EssaimError | None] = []
        for start in range(0, len(messages), self._window):
            outcomes += await self._send_at_once(queue, messages[start : start + self._window])
            error = next(filter(None, outcomes), None)
            if error is not None:
                return outcomes + [error] * (len(messages) - len(outcomes))
        return outcomes

    async def _send_at_once(self, queue: str, messages: Sequence[Message]) -> list[EssaimError | None]:
        outcomes = await self._confirmations(queue, messages)
        returned = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, PublishError)]
        if returned:
            self._topology.forget()
            await self._topology.declare()
            again = await self._confirmations(queue, [messages[number] for number in returned])
            for number, outcome in zip(returned, again, strict=True):
                outcomes[number] = outcome
        return [self._error(queue, outcome) for outcome in outcomes]

    async def _confirmations(self, queue: str, messages: Sequence[Message]) -> list[BaseException | None]:
        driver = await (await self._open()).get_underlay_channel()
        sending = asyncio.gather(*(_confirmed(driver, queue, message) for message in messages), return_exceptions=True)
        try:
            while not (await asyncio.wait({sending}, timeout=BLOCKED_SECONDS))[0]:
                await self._unblocked()  # these messages may be what got it blocked
        finally:
            sending.cancel()
        return [outcome if isinstance(outcome, BaseException) else None for outcome in sending.result()]

    def _error(self, queue: str, outcome: BaseException | None) -> EssaimError | None:
        match outcome:
            case None:
                return None
            case PublishError():
                return UnavailableError(f"RabbitMQ at {self._connection.address} has no queue {queue}")
            case DeliveryError() if queue == self._topology.main:
                return QueueFullError(f"the queue {queue} is full: it takes {self._max_length} messages")
            case _:
                return self._connection.unavailable(outcome)

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            await self._unblocked()
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connection.open_channel(confirms=True)
            return self._channel

    async def _unblocked(self) -> None:
        connection = await self._connection.get()
        if connection.transport is not None:
            try:
                async with asyncio.timeout(BLOCKED_SECONDS):
                    await connection.transport.ready()
            except TimeoutError:
                sentence = f"RabbitMQ at {self._connection.address} is short of memory or disk and accepts no messages"
                raise UnavailableError(sentence) from None


async def _confirmed(driver: Driver, queue: str, message: Message) -> None:
    """Do not wait until it is written (`wait`): the confirmation says more."""
    await driver.basic_publish(
        message.body,
        routing_key=queue,
        properties=message.properties,
        mandatory=True,
        timeout=CONFIRM_SECONDS,
        wait=False,  # type: ignore[call-arg]  # only its abstract class has it not
    )


class Notifier:
    """Publishes events to a topic exchange, in order. Events that cannot be sent are dropped."""

    def __init__(self, connection: RabbitConnection, release: str) -> None:
        self._connection = connection
        self._release = release
        self._waiting: deque[CloudEvent] = deque(maxlen=MOST_WAITING)
        self._channel: AbstractChannel | None = None
        self._driver: Driver | None = None
        self._sending: asyncio.Task[None] | None = None

    def notify(self, event: CloudEvent) -> None:
        self._waiting.append(event)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def close(self) -> None:
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=CLOSE_SECONDS)
            self._sending.cancel()
            await asyncio.wait({self._sending})

    async def _send(self) -> None:
        try:
            with self._connection.translating_errors():
                async with asyncio.timeout(CALL_SECONDS):
                    driver = await self._open()
                while self._waiting:
                    await self._publish(driver, self._waiting.popleft())
        except UnavailableError as error:
            self._driver = None
            if self._channel is not None:
                await close_quietly(self._channel)
            log("queue.notifications_lost", level=logging.WARNING, count=len(self._waiting) + 1, reason=error)
            self._waiting.clear()

    async def _publish(self, driver: Driver, event: CloudEvent) -> None:
        """Wait until it is written only for the last event."""
        message = to_message(event)
        await driver.basic_publish(
            message.body,
            exchange=EXCHANGE,
            routing_key=self._key(event),
            properties=message.properties,
            timeout=CALL_SECONDS,
            wait=not self._waiting,  # type: ignore[call-arg]  # only its abstract class has it not
        )

    async def _open(self) -> Driver:
        if self._driver is None or self._channel is None or self._channel.is_closed:
            self._channel = await self._connection.open_channel()
            await self._channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
            self._driver = await self._channel.get_underlay_channel()
        return self._driver

    def _key(self, event: CloudEvent) -> str:
        return f"{self._release}.{event.get_type().removeprefix('essaim.')}"
