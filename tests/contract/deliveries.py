"""How tests take what a queue delivers."""

import asyncio
from collections.abc import AsyncIterator

from essaim.jobs.ports import Delivery


async def next_of(deliveries: AsyncIterator[Delivery]) -> Delivery:
    return await asyncio.wait_for(anext(deliveries), 60)


async def next_id(deliveries: AsyncIterator[Delivery]) -> str:
    """The id of the next message, which is acknowledged."""
    delivery = await next_of(deliveries)
    await delivery.ack()
    return str(delivery.event.get_id())


async def ids_of(deliveries: AsyncIterator[Delivery], how_many: int) -> list[str]:
    """The same for so many."""
    return [await next_id(deliveries) for _ in range(how_many)]
