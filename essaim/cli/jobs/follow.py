"""Follow a job until it ends: by server-sent events, resumed where a stream broke off, or by polling."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from essaim.cli.client import Client, JsonObject
from essaim.cli.errors import CliError, RefusedError, UnreachableError

ENDED = frozenset({"succeeded", "failed", "cancelled"})
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 30.0  # how long a server may be unreachable (a restart, a new version) before we give up
RETRY_SECONDS = 0.2  # unless the server sends another; doubles after each failure
LONGEST_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream, as defined by the HTML standard; `retry` in seconds, None if not sent."""

    id: str
    name: str
    data: str
    retry: float | None


class Patience:
    """Tolerates failures that a restart of the server would explain, for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answered = time.monotonic()

    def answered(self) -> None:
        self._answered = time.monotonic()

    def tolerate(self, error: CliError) -> None:
        """Raise the error if it is not temporary, or has lasted too long."""
        passing = isinstance(error, UnreachableError) or (
            isinstance(error, RefusedError) and error.status in (429, 502, 503, 504)
        )
        if not passing or time.monotonic() - self._answered > self._seconds:
            raise error


async def follow(client: Client, job_id: str, patience: float = PATIENCE_SECONDS) -> AsyncIterator[JsonObject]:
    """Yield the job now, and again whenever it has changed; the last one yielded has ended.

    Rides out a server that is away for `patience` seconds, then raises `UnreachableError`.
    """
    last_id, pause, waiting = "", RETRY_SECONDS, Patience(patience)
    while True:
        try:
            async for event in _stream(client, job_id, last_id):
                last_id, pause = event.id or last_id, event.retry or RETRY_SECONDS
                waiting.answered()
                job = json.loads(event.data)
                yield job
                if job["state"] in ENDED:
                    return
        except _NoStreamError:  # a proxy that wants whole answers, perhaps: ask instead
            break
        except CliError as error:
            waiting.tolerate(error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_RETRY_SECONDS)
    async for job in poll(client, job_id, patience):
        yield job


async def poll(client: Client, job_id: str, patience: float = PATIENCE_SECONDS) -> AsyncIterator[JsonObject]:
    """The same by asking every half second."""
    previous, waiting = None, Patience(patience)
    while True:
        try:
            job = await client.get(f"/v1/jobs/{job_id}")
        except CliError as error:
            waiting.tolerate(error)
        else:
            waiting.answered()
            if job != previous:
                yield job
            if job["state"] in ENDED:
                return
            previous = job
        await asyncio.sleep(POLL_SECONDS)


class _NoStreamError(CliError):
    """The response is not an event stream."""


async def _stream(client: Client, job_id: str, last_id: str) -> AsyncIterator[ServerEvent]:
    headers = {"accept": "text/event-stream", **({"last-event-id": last_id} if last_id else {})}
    timeout = httpx.Timeout(PATIENCE_SECONDS, connect=5.0)  # a live server sends something more often than this
    async with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=timeout) as response:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise _NoStreamError
        async for event in events(response.aiter_text()):
            yield event


async def events(chunks: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    """Parse an event stream. Comments and events without data are dropped, as is an unfinished last event."""
    identity, name, data, retry = "", "message", list[str](), None
    async for line in _lines(chunks):
        if not line:
            if data:
                yield ServerEvent(identity, name, "\n".join(data), retry)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "id":
                identity = value
            case "event":
                name = value
            case "data":
                data.append(value)
            case "retry" if value.isdigit():
                retry = int(value) / 1000


async def _lines(chunks: AsyncIterator[str]) -> AsyncIterator[str]:
    """Lines of an event stream. httpx's own also end at U+2028, which JSON may contain."""
    rest = ""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            yield line.removesuffix("\r")
