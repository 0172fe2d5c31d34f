"""A connection to RabbitMQ, opened when it is needed and reopened when it is lost, and the queues of a release."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from math import ceil, log2

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AuthenticationError,
    ChannelPreconditionFailed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from aiormq.exceptions import AMQPError, ConnectionNotAllowed
from pamqp.common import Arguments
from yarl import URL

from essaim.errors import SettingsError, UnavailableError
from essaim.telemetry import log

CONNECT_SECONDS = 5.0
HEARTBEAT_SECONDS = 15  # the broker takes back what a process has that is silent for twice as long
CALL_SECONDS = 15.0  # for an answer of the broker; a quorum queue may just be electing a leader
REST_SECONDS = 0.5  # after a failed connect: until then others fail at once instead of trying too
NO_DELIVERY_LIMIT = 2**31 - 1  # since 4.0 the default is 20, and before it -1 is refused; a limit also keeps the order
SHORTEST_WAIT = 0.25  # seconds
LASTING: dict[str, int | str] = {"x-queue-type": "quorum", "x-delivery-limit": NO_DELIVERY_LIMIT}
# How long a worker may hold a delivery, in milliseconds; RabbitMQ before 3.11.15 knows only `consumer_timeout` in its
# configuration, 30 minutes by default. A constant, since a queue cannot be declared again with another; below 2^32, the longest
# timer of Erlang.
HOLDING: dict[str, int | str] = {"x-consumer-timeout": 30 * 24 * 3600 * 1000}
EARLY_WAITS = 6  # up to 256 s, which covers all but long callbacks


WRONG_PASSWORD = (AuthenticationError, ProbableAuthenticationError)
NO_ENTRY = (ConnectionNotAllowed, InvalidFrameError)  # the broker closes the connection instead of opening it
REFUSALS = (*WRONG_PASSWORD, *NO_ENTRY)


def _news(record: logging.LogRecord) -> bool:
    """False for what the driver both logs and raises, a failed connect or a lost connection: whoever catches it logs it."""
    lost = record.exc_info is not None and isinstance(record.exc_info[1], (AMQPError, OSError))
    return not lost and not str(record.msg).startswith("error when creating transport")


logging.getLogger("aiormq.connection").addFilter(_news)


class RabbitConnection:
    """A connection. Every method raises `UnavailableError`, which names the broker and never the password."""

    def __init__(self, url: str) -> None:
        try:
            self._url = URL(url).update_query({"heartbeat": HEARTBEAT_SECONDS, **URL(url).query})
            port = self._url.port or (5671 if self._url.scheme == "amqps" else 5672)
            self.address = f"{self._url.host or 'localhost'}:{port}"
        except ValueError as error:
            raise SettingsError(f"ESSAIM_QUEUE_URL is no amqp://user:password@host:port/vhost: {error}") from error
        self._current: AbstractConnection | None = None
        self._connecting = asyncio.Lock()
        self._failed: tuple[float, UnavailableError] | None = None
        self._closed = False

    async def get(self) -> AbstractConnection:
        """The open connection."""
        async with self._connecting:
            if self._closed:
                raise UnavailableError(f"the connection to RabbitMQ at {self.address} is closed")
            if self._current is not None and _alive(self._current):
                return self._current
            if self._failed is not None and time.monotonic() - self._failed[0] < REST_SECONDS:
                raise UnavailableError(str(self._failed[1]))
            try:
                with self.translating_errors():
                    async with asyncio.timeout(CONNECT_SECONDS):
                        self._current = await aio_pika.connect(self._url)
            except UnavailableError as error:
                self._failed = time.monotonic(), error
                raise
            return self._current

    async def server_version(self) -> str:
        """As the broker states it, such as `4.1.3`; empty if it states none."""
        transport = (await self.get()).transport
        properties = transport.connection.server_properties if transport else {}
        return str(properties.get("version") or "")

    async def open_channel(self, *, confirms: bool = False) -> AbstractChannel:
        """A new channel, for the caller to close."""
        connection = await self.get()
        with self.translating_errors():
            async with asyncio.timeout(CALL_SECONDS):
                return await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel for a few calls, not shared: a call that fails or is cancelled closes its channel."""
        channel = await self.open_channel()
        try:
            with self.translating_errors():
                yield channel
        finally:
            await close_quietly(channel)

    async def close(self) -> None:
        self._closed = True
        if self._current is not None:
            with suppress(UnavailableError), self.translating_errors():
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._current.close()

    @contextmanager
    def translating_errors(self) -> Iterator[None]:
        """Raises `UnavailableError` for whatever the driver raises."""
        try:
            yield
        except CONNECTION_EXCEPTIONS as error:
            raise self.unavailable(error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # the driver cancels calls on a lost connection
            raise self.unavailable(error) from error
        except Exception as error:
            if type(error) is not Exception:
                raise
            # the driver also raises plain `Exception`
            raise self.unavailable(error) from error

    def unavailable(self, error: BaseException) -> UnavailableError:
        match error:
            case _ if isinstance(error, WRONG_PASSWORD):
                return UnavailableError(f"RabbitMQ at {self.address} refuses the user or the password")
            case _ if isinstance(error, NO_ENTRY):
                return UnavailableError(f"RabbitMQ at {self.address} refuses the user or has no such virtual host")
            case TimeoutError():
                return UnavailableError(f"RabbitMQ at {self.address} does not answer in time")
            case _:
                detail = (str(error) or type(error).__name__).splitlines()[0]
                return UnavailableError(f"RabbitMQ at {self.address} does not answer: {detail}")


async def close_quietly(channel: AbstractChannel) -> None:
    """Close it; if that fails, the broker still returns its unsettled messages to the queue."""
    with suppress(Exception):
        async with asyncio.timeout(CONNECT_SECONDS):
            if not channel.is_closed:
                await channel.close()


def _alive(connection: AbstractConnection) -> bool:
    transport = connection.transport
    return not connection.is_closed and transport is not None and not transport.connection.is_closed


class Topology:
    """The queues of a release, declared once until `forget`. All are quorum queues: they outlive nodes and drop no message."""

    def __init__(self, connection: RabbitConnection, release: str, max_length: int) -> None:
        self._connection = connection
        self._max_length = max_length
        self.main = f"jobs.{release}"
        self.dead = f"jobs.{release}.dead"
        self.busy = f"jobs.{release}.busy"
        self._declared: set[str] = set()

    async def declare(self) -> None:
        """Declare the queues that always exist. One that exists with other arguments is used as it is."""
        # Wait queues are not left until first needed, since a message would follow at once: RabbitMQ 3.10, killed within a
        # second of creating a queue, may lose the queue and the messages it has confirmed.
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
        """The queue for messages that are due in `delay` seconds.

        A due message leaves only from the head of its queue, so each size of delay has its own queue: no message waits
        longer than four times its delay, and few do.
        """
        name = self._wait_name(max(0, ceil(log2(max(delay, SHORTEST_WAIT) / SHORTEST_WAIT) / 2)))
        await self._declare({name: _dead_lettering(self.main)})
        return name

    def _wait_name(self, exponent: int) -> str:
        return f"{self.main}.wait.{SHORTEST_WAIT * 4**exponent:g}s"

    def forget(self) -> None:
        """Declare all again when next needed: a queue was deleted or lost."""
        self._declared.clear()

    async def _declare(self, queues: Mapping[str, Mapping[str, int | str]]) -> None:
        """Use one channel for all, which takes a third of the time at start. A conflicting queue makes the broker close it."""
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
    """At least once: a message leaves its queue only when the target has it. That requires this `x-overflow`."""
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": target,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
