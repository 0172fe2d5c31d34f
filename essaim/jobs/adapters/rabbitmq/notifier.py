"""Events for whoever listens: to a topic exchange, in the background, without confirms."""

import asyncio
import logging
from collections import deque

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as Driver
from cloudevents.core.v1.event import CloudEvent

from essaim.errors import UnavailableError
from essaim.jobs.adapters.rabbitmq import messages
from essaim.jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection, close_quietly
from essaim.telemetry import log

EXCHANGE = "essaim.jobs"
MOST_WAITING = 1000  # events; the newest are kept, since each says how its job stands
CLOSE_SECONDS = 1.0  # for what waits when the process leaves


class Notifier:
    """Sends what it is told, in order, as long as the broker takes it; what does not get through is dropped."""

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
            with self._connection.told():
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
        """Only the last of those that wait is waited for until it is written."""
        message = messages.to_message(event)
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
