"""Events for whoever listens: to a topic exchange, in the background, without confirms."""

import asyncio
import logging
from collections import deque

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange
from cloudevents.core.v1.event import CloudEvent

from jobs.adapters.rabbitmq import messages
from jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection, close_quietly
from jobs.errors import UnavailableError
from jobs.telemetry import log

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
        self._exchange: AbstractExchange | None = None
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
                    exchange = await self._open()
                while self._waiting:
                    event = self._waiting.popleft()
                    async with asyncio.timeout(CALL_SECONDS):
                        await exchange.publish(messages.to_message(event), self._key(event), mandatory=False)
        except UnavailableError as error:
            self._exchange = None
            if self._channel is not None:
                await close_quietly(self._channel)
            log("queue.notifications_lost", level=logging.WARNING, count=len(self._waiting) + 1, reason=error)
            self._waiting.clear()

    async def _open(self) -> AbstractExchange:
        if self._exchange is None or self._channel is None or self._channel.is_closed:
            self._channel = await self._connection.open_channel()
            self._exchange = await self._channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
        return self._exchange

    def _key(self, event: CloudEvent) -> str:
        return f"{self._release}.{event.get_type().removeprefix('essaim.')}"
