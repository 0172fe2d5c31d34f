"""The number of deliveries in flight, visible to all processes without the management API.

AMQP says how many messages of a queue are ready and how many consumers it has, but not how many messages they hold.
So each process keeps as many consumers on an empty queue as it has unsettled deliveries. They vanish with its connection,
at the moment when its deliveries return to the queue.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from essaim.errors import UnavailableError
from essaim.jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection, Topology, close_quietly
from essaim.telemetry import log

SETTLE_SECONDS = 0.1  # between two adjustments: short jobs in quick succession cost none


class InFlight:
    """The share of this process. `count` returns the number of its unsettled deliveries."""

    def __init__(self, connection: RabbitConnection, topology: Topology, count: Callable[[], int]) -> None:
        self._connection = connection
        self._topology = topology
        self._count = count
        self._channel: AbstractChannel | None = None
        self._tags: list[str] = []
        self._cancelled = False  # by the broker: somebody has deleted the queue
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._adjusting: asyncio.Task[None] | None = None

    def changed(self) -> None:
        """Call this whenever `count` has changed."""
        self._changed.set()
        if self._adjusting is None:
            self._adjusting = asyncio.create_task(self._keep_adjusting())

    async def adjust(self) -> None:
        """Publish the value of `count` now."""
        if self._count() or self._tags:
            adjusting = asyncio.create_task(self._adjust())
            adjusting.add_done_callback(lambda task: task.cancelled() or task.exception())  # its caller may have left
            await asyncio.shield(adjusting)

    async def close(self) -> None:
        if self._adjusting is not None:
            self._adjusting.cancel()
            await asyncio.wait({self._adjusting})
            async with self._turn:  # what still runs
                pass

    async def _keep_adjusting(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.adjust()
            except UnavailableError as error:
                log("queue.in_flight_not_shown", level=logging.WARNING, reason=error)
                self._changed.set()
            await asyncio.sleep(SETTLE_SECONDS)

    async def _adjust(self) -> None:
        async with self._turn:
            if self._channel is not None and self._cancelled:
                await close_quietly(self._channel)
            if self._channel is None or self._channel.is_closed:
                self._tags.clear()
                await self._topology.declare()
                self._channel = await self._connection.open_channel()
                self._cancelled = False
                driver = await self._channel.get_underlay_channel()
                driver.on_consumer_cancel_callbacks.add(self._cancel)
            try:
                with self._connection.translating_errors():
                    await self._adjust_on(self._channel)
            except UnavailableError:
                self._topology.forget()
                await close_quietly(self._channel)
                raise

    def _cancel(self, _: object) -> None:
        self._cancelled = True
        self._topology.forget()
        self._changed.set()

    async def _adjust_on(self, channel: AbstractChannel) -> None:
        queue = await channel.get_queue(self._topology.busy, ensure=False)
        while len(self._tags) < self._count():
            self._tags.append(await queue.consume(_nothing, timeout=CALL_SECONDS))
        while len(self._tags) > self._count():
            await queue.cancel(self._tags.pop(), timeout=CALL_SECONDS)


async def _nothing(message: AbstractIncomingMessage) -> None:
    """Nothing is published to this queue; a message that arrives by mistake is removed."""
    with suppress(Exception):
        await message.ack()
