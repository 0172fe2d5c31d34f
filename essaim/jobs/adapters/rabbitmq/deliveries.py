"""Messages on their way to one consumer, over connections that come and go."""

import asyncio
import logging
import random
import re
from collections import deque
from contextlib import suppress

from essaim.errors import UnavailableError
from essaim.jobs.adapters.rabbitmq.consumer import Outlet, RabbitDelivery, Session
from essaim.telemetry import log

FIRST_PAUSE = 0.1  # seconds before the first attempt to consume again; doubles
LONGEST_PAUSE = 10.0


def ignores_timeout(version: str) -> bool:
    """Whether a broker of this version takes no notice of the timeout that a queue asks for (RabbitMQ before 3.11.15)."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return bool(numbers) and numbers < (3, 11, 15)


class RabbitDeliveries:
    """An iterator of deliveries, at most `prefetch` unsettled at a time. It outlives the loss of its consumer.

    A broker may take deliveries back that it finds held for too long. Their work goes on and counts: what comes beyond
    `prefetch` meanwhile is given back, and nothing more is consumed until there is room.
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
        if any(held.adopt(delivery) for held in self._outlet.in_hand - {delivery}):
            log("delivery.adopted", queue=self._outlet.topology.main)
            return
        self._waiting.append(delivery)
        self._arrived.set()
        if self._crowded():
            self._overfull = True
            delivery.session.lost.set()

    def _crowded(self) -> bool:
        """More has arrived than there is room for, since work goes on whose deliveries the broker has taken back."""
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
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # so that not all come at once
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _room(self) -> None:
        """Return once another delivery may be taken."""
        while len(self._outlet.in_hand) >= self._prefetch:
            self._outlet.settled.clear()
            await self._outlet.settled.wait()
        self._overfull = False

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
        session.close_when_settled()
