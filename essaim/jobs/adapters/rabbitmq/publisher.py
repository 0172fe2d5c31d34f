"""Messages out, each confirmed by the broker."""

import asyncio
from collections.abc import Sequence

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq.abc import AbstractChannel as Driver

from essaim.errors import EssaimError, QueueFullError, UnavailableError
from essaim.jobs.adapters.batches import Batches
from essaim.jobs.adapters.rabbitmq.connection import RabbitConnection
from essaim.jobs.adapters.rabbitmq.messages import Message
from essaim.jobs.adapters.rabbitmq.topology import Topology

CONFIRM_SECONDS = 10.0
BLOCKED_SECONDS = 1.0
WINDOW = 500  # unconfirmed at once; more is no faster


class Publisher:
    """Publishes on a connection of its own: a broker short of memory blocks connections that publish, and only those."""

    def __init__(self, connection: RabbitConnection, topology: Topology, max_length: int) -> None:
        self._connection = connection
        self._topology = topology
        self._max_length = max_length
        self._window = min(WINDOW, max_length)  # a full queue says so only to what comes after
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._batches: dict[str, Batches[Message, EssaimError | None]] = {}

    async def publish(self, queue: str, messages: Sequence[Message]) -> None:
        """Return once the broker has all. Raises `QueueFullError`, and then it may have some."""
        if len(messages) == 1:  # one alone goes along with what others send meanwhile
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
        """What went wrong with each. After the first windowful with a failure, no more are sent."""
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
                await self._unblocked()  # it may be for these messages that it was blocked
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
                sentence = f"RabbitMQ at {self._connection.address} is short of memory or disk: it takes nothing"
                raise UnavailableError(sentence) from None


async def _confirmed(driver: Driver, queue: str, message: Message) -> None:
    """None waits until the one before is written (`wait`): the confirmation says more."""
    await driver.basic_publish(
        message.body,
        routing_key=queue,
        properties=message.properties,
        mandatory=True,
        timeout=CONFIRM_SECONDS,
        wait=False,  # type: ignore[call-arg]  # only its abstract class has it not
    )
