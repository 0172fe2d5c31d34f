"""Messages on their way to one consumer, over connections that come and go."""

import asyncio
import logging
import random
from collections import deque
from contextlib import suppress

from jobs.adapters.rabbitmq.session import Outlet, RabbitDelivery, Session
from jobs.errors import UnavailableError
from jobs.telemetry import log

FIRST_PAUSE = 0.1  # seconds before the first attempt to consume again; doubles
LONGEST_PAUSE = 10.0


class RabbitDeliveries:
    """An iterator of deliveries, at most `prefetch` unsettled at a time. It outlives the loss of its consumer."""

    def __init__(self, outlet: Outlet, prefetch: int) -> None:
        self._outlet = outlet
        self._prefetch = prefetch
        self._session: Session | None = None
        self._waiting: deque[RabbitDelivery] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._session = await self._consume()
        self._watching = asyncio.create_task(self._watch())

    def __aiter__(self) -> "RabbitDeliveries":
        return self

    async def __anext__(self) -> RabbitDelivery:
        while not self._closed:
            if self._waiting:
                return self._waiting.popleft()
            self._arrived.clear()
            await self._arrived.wait()
        raise StopAsyncIteration

    async def close(self) -> None:
        """Hand out nothing new, and give back what was not handed out."""
        self._closed = True
        self._arrived.set()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        await self._leave()

    async def _consume(self) -> Session:
        return await Session.open(self._outlet, self._prefetch, self._arrive)

    def _arrive(self, delivery: RabbitDelivery) -> None:
        self._waiting.append(delivery)
        self._arrived.set()

    async def _watch(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if self._session is None:
                    self._session = await self._consume()
                    log("queue.consuming_again", queue=self._outlet.topology.main)
                    pause = FIRST_PAUSE
                await self._session.lost.wait()
                log("queue.consumer_lost", level=logging.WARNING, queue=self._outlet.topology.main)
            except UnavailableError as error:
                log("queue.unavailable", level=logging.WARNING, reason=error)
            await self._leave()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # so that not all come at once
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _leave(self) -> None:
        """What has arrived and waits here goes back; on a lost channel it is back already."""
        session, self._session = self._session, None
        if session is None:
            return
        await session.stop()
        waiting = list(self._waiting)
        self._waiting.clear()
        for delivery in waiting:
            with suppress(UnavailableError):
                await delivery.release()
        await session.close_when_settled()
