"""One AMQP connection that is made when it is needed, and made again after it was lost."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AuthenticationError,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from aiormq.exceptions import AMQPError, ConnectionNotAllowed
from yarl import URL

from essaim.errors import SettingsError, UnavailableError

CONNECT_SECONDS = 5.0
HEARTBEAT_SECONDS = 15  # the broker takes back what a process has that is silent for twice as long
CALL_SECONDS = 15.0  # for an answer of the broker; a quorum queue may just be electing a leader
REST_SECONDS = 0.5  # after a failed connect, in which others fail at once instead of trying too


WRONG_PASSWORD = (AuthenticationError, ProbableAuthenticationError)
NO_ENTRY = (ConnectionNotAllowed, InvalidFrameError)  # the broker closes instead of opening
REFUSALS = (*WRONG_PASSWORD, *NO_ENTRY)


def _news(record: logging.LogRecord) -> bool:
    """The driver logs that it cannot connect, or where it noticed the loss, and then raises it: whoever catches it says so."""
    lost = record.exc_info is not None and isinstance(record.exc_info[1], (AMQPError, OSError))
    return not lost and not str(record.msg).startswith("error when creating transport")


logging.getLogger("aiormq.connection").addFilter(_news)


class RabbitConnection:
    """A connection. Every method raises `UnavailableError`, which names the broker and never the password."""

    def __init__(self, url: str) -> None:
        try:
            self._url = URL(url).update_query({"heartbeat": HEARTBEAT_SECONDS, **URL(url).query})
            self.address = f"{self._url.host or 'localhost'}:{self._url.port or self._default_port()}"
        except ValueError as error:
            raise SettingsError(f"ESSAIM_QUEUE_URL is no amqp://user:password@host:port/vhost: {error}") from error
        self._current: AbstractConnection | None = None
        self._connecting = asyncio.Lock()
        self._failed: tuple[float, UnavailableError] | None = None
        self._closed = False

    async def get(self) -> AbstractConnection:
        """The connection, which is there now."""
        async with self._connecting:
            if self._closed:
                raise UnavailableError(f"the connection to RabbitMQ at {self.address} is closed")
            if self._current is not None and _alive(self._current):
                return self._current
            if self._failed is not None and time.monotonic() - self._failed[0] < REST_SECONDS:
                raise UnavailableError(str(self._failed[1]))
            try:
                with self.told():
                    async with asyncio.timeout(CONNECT_SECONDS):
                        self._current = await aio_pika.connect(self._url)
            except UnavailableError as error:
                self._failed = time.monotonic(), error
                raise
            return self._current

    async def server_version(self) -> str:
        """As the broker gives it, `4.1.3`; empty where it gives none."""
        transport = (await self.get()).transport
        properties = transport.connection.server_properties if transport else {}
        return str(properties.get("version") or "")

    async def open_channel(self, *, confirms: bool = False) -> AbstractChannel:
        """A new channel, for the caller to close."""
        connection = await self.get()
        with self.told():
            async with asyncio.timeout(CALL_SECONDS):
                return await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel for a few calls. It is their own, since one that fails or is cancelled costs the channel."""
        channel = await self.open_channel()
        try:
            with self.told():
                yield channel
        finally:
            await close_quietly(channel)

    async def close(self) -> None:
        self._closed = True
        if self._current is not None:
            with suppress(UnavailableError), self.told():
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._current.close()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Whatever the driver raises becomes an `UnavailableError`."""
        try:
            yield
        except CONNECTION_EXCEPTIONS as error:
            raise self.unavailable(error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # the driver cancels what waits on a connection that was lost
            raise self.unavailable(error) from error
        except Exception as error:
            if type(error) is not Exception:
                raise
            # or raises an error of no kind
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

    def _default_port(self) -> int:
        return 5671 if self._url.scheme == "amqps" else 5672


async def close_quietly(channel: AbstractChannel) -> None:
    """What was unsettled on it is given back by the broker, also when this fails."""
    with suppress(Exception):
        async with asyncio.timeout(CONNECT_SECONDS):
            if not channel.is_closed:
                await channel.close()


def _alive(connection: AbstractConnection) -> bool:
    transport = connection.transport
    return not connection.is_closed and transport is not None and not transport.connection.is_closed
