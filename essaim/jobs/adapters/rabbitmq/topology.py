"""The queues of a release. All are quorum queues: they outlive nodes, and none drops a message by itself."""

import logging
from collections.abc import Mapping
from math import ceil, log2

from aio_pika.exceptions import ChannelPreconditionFailed
from pamqp.common import Arguments

from essaim.errors import UnavailableError
from essaim.jobs.adapters.rabbitmq.connection import CALL_SECONDS, RabbitConnection
from essaim.telemetry import log

NO_DELIVERY_LIMIT = 2**31 - 1  # since 4.0 the default is 20, and before it -1 is refused; a limit also keeps the order
SHORTEST_WAIT = 0.25  # seconds
LASTING: dict[str, int | str] = {"x-queue-type": "quorum", "x-delivery-limit": NO_DELIVERY_LIMIT}
# How long a worker may hold a delivery, in milliseconds; RabbitMQ before 3.11.15 knows only `consumer_timeout` in its
# configuration, 30 minutes by default. A constant, since a queue cannot be declared again with another; below 2^32, the longest
# timer of Erlang.
HOLDING: dict[str, int | str] = {"x-consumer-timeout": 30 * 24 * 3600 * 1000}
EARLY_WAITS = 6  # up to 256 s, which covers all but long callbacks


class Topology:
    """Declares queues, each at most once until `forget`."""

    def __init__(self, connection: RabbitConnection, release: str, max_length: int) -> None:
        self._connection = connection
        self._max_length = max_length
        self.main = f"jobs.{release}"
        self.dead = f"jobs.{release}.dead"
        self.busy = f"jobs.{release}.busy"
        self._declared: set[str] = set()

    async def declare(self) -> None:
        """The queues that are always there. One that exists with other arguments is used as it is."""
        # The last ones not when first needed, for then a message follows at once: RabbitMQ 3.10, killed within a second of
        # making a queue, may forget the queue and what it has confirmed.
        await self._declare(
            {
                self.dead: {},
                self.busy: {},
                self.main: {**_dead_lettering(self.dead), "x-max-length": self._max_length, **HOLDING},
                **{self._wait_name(exponent): _dead_lettering(self.main) for exponent in range(EARLY_WAITS)},
            }
        )

    async def dead_queue(self) -> str:
        await self.declare()
        return self.dead

    async def wait_queue(self, delay: float) -> str:
        """Where messages wait that are due in `delay` seconds.

        A message that is due leaves only from the head of its queue, so delays of one size have a queue of their own:
        none waits longer than four times its delay, and few do.
        """
        name = self._wait_name(max(0, ceil(log2(max(delay, SHORTEST_WAIT) / SHORTEST_WAIT) / 2)))
        await self._declare({name: _dead_lettering(self.main)})
        return name

    def _wait_name(self, exponent: int) -> str:
        return f"{self.main}.wait.{SHORTEST_WAIT * 4**exponent:g}s"

    def forget(self) -> None:
        """Somebody has deleted a queue, or the broker has lost it."""
        self._declared.clear()

    async def _declare(self, queues: Mapping[str, Mapping[str, int | str]]) -> None:
        """On one channel, which is a third of the time at start. The broker closes it over a queue that is another."""
        missing = {name: arguments for name, arguments in queues.items() if name not in self._declared}
        while missing:
            name = ""
            try:
                async with self._connection.channel() as channel:
                    for name in tuple(missing):
                        lasting: Arguments = {**LASTING, **missing[name]}
                        await channel.declare_queue(name, durable=True, arguments=lasting, timeout=CALL_SECONDS)
                        self._declared.add(name)
                        del missing[name]
            except UnavailableError as error:
                if not isinstance(error.__cause__, ChannelPreconditionFailed):
                    raise
                log("queue.kept_as_it_is", level=logging.WARNING, queue=name, reason=error.__cause__)
                self._declared.add(name)
                del missing[name]


def _dead_lettering(target: str) -> dict[str, int | str]:
    """At least once: a message leaves its queue when the target has it, which needs the overflow named here."""
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": target,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
