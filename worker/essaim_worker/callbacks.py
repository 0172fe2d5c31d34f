"""Callbacks: signed CloudEvents that tell a receiver that a job has ended, sent again until one is accepted.

Tries are not counted: the delay before the next one follows from the time since the first.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import random
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from essaim.errors import CallbackRefusedError, EssaimError
from essaim.jobs.backends import Backends
from essaim.jobs.events import JobEnded, dump, state_event
from essaim.jobs.model import Job
from essaim.jobs.receivers import Receivers
from essaim.jobs.settings import Settings
from essaim.telemetry import log, span
from essaim_worker.settlement import Settlement, ack, park, retry

if TYPE_CHECKING:
    import httpx

CALL_SECONDS = 10.0  # for a whole call
CONNECT_SECONDS = 3.0  # for each address
LONGEST_WAIT = 3600.0  # seconds between two tries
CLOUD_EVENT = "application/cloudevents+json"
GONE = 410


class NoAnswerError(EssaimError):
    """The receiver could not be reached, or did not answer in time."""


@dataclass(frozen=True)
class Answer:
    """The receiver's answer, without its body. `retry_after` is in seconds."""

    status: int
    retry_after: float | None


class CallbackSender:
    """Handles `JobEnded` messages. Methods return how to settle the delivery, and raise what the backends raise."""

    def __init__(self, backends: Backends, settings: Settings) -> None:
        self._store = backends.store
        self._settings = settings

    async def send(self, message: JobEnded) -> Settlement:
        """Call the receiver, if the job has ended."""
        job = await self._store.get(message.job_id)
        begun = max(message.since, job.ended or message.since)
        age = max(0.0, (datetime.now(UTC) - begun).total_seconds())
        if not job.state.ended:  # the publisher has not written the end yet, or died: then another worker will
            return retry(self._wait(age))
        if job.callback is None:
            return ack()
        return await self._call_receiver(job, job.callback, age)

    async def _call_receiver(self, job: Job, url: str, age: float) -> Settlement:
        fields: dict[str, Any] = {"run": job.run, "host": urlsplit(url).hostname}
        event, settings = state_event(job), self._settings
        after: float | None = None
        try:
            with span("callback", **fields):
                answer = await call_signed(
                    url, event.get_id(), dump(event), settings.receivers(), settings.callback_keys()
                )
        except CallbackRefusedError as error:
            reason, final = str(error), True
        except NoAnswerError as error:
            reason, final = str(error), False
        else:
            if 200 <= answer.status < 300:
                log("callback.delivered", **fields, status=answer.status)
                return ack()
            reason, final = f"{fields['host']} answers {answer.status}", answer.status == GONE
            after = answer.retry_after
        if final or age >= settings.callback_give_up_seconds:
            log("callback.given_up", level=logging.ERROR, **fields, reason=reason)
            return park(f"the end of the job could not be told: {reason}")
        wait = self._wait(age, after)
        log("callback.delayed", level=logging.WARNING, **fields, reason=reason, seconds=round(wait, 1))
        return retry(wait)

    def _wait(self, age: float, retry_after: float | None = None) -> float:
        wanted = max(age / 2, retry_after or 0.0, self._settings.retry_seconds)
        return min(wanted, LONGEST_WAIT) * random.uniform(1.0, 1.25)  # noqa: S311  # jitter, no secret


async def call_signed(url: str, event_id: str, body: bytes, receivers: Receivers, keys: Sequence[bytes]) -> Answer:
    """POST the body to the URL. Raises `CallbackRefusedError` if the URL is not allowed, and `NoAnswerError`."""
    parts = receivers.check(url)
    try:
        async with asyncio.timeout(CALL_SECONDS):
            addresses = await _addresses(parts, receivers)
            return await _post_to_any(url, parts, addresses, body, _signed(event_id, body, keys))
    except TimeoutError:
        raise NoAnswerError(f"{parts.hostname} did not answer within {CALL_SECONDS:.0f} seconds") from None


async def _addresses(parts: SplitResult, receivers: Receivers) -> list[str]:
    """The host's addresses. All must be allowed: otherwise the name's owner could retry until a forbidden one came first."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NoAnswerError(f"{parts.hostname} has no address: {error}") from error
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for address in addresses:
        if not receivers.reachable(address):
            raise CallbackRefusedError(f"{parts.hostname} is at {address}, which may not be called")
    return addresses


async def _post_to_any(
    url: str, parts: SplitResult, addresses: Sequence[str], body: bytes, headers: dict[str, str]
) -> Answer:
    import httpx  # here: an idle worker does not need it

    # A client for each call: a pool finds connections by address, and several hosts may share one.
    timeout = httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS)
    async with httpx.AsyncClient(verify=_trust(), trust_env=False, follow_redirects=False, timeout=timeout) as http:
        unreached: Exception | None = None
        for address in addresses:
            try:
                request = http.build_request(
                    "POST",
                    httpx.URL(url).copy_with(host=address),
                    content=body,
                    headers={**headers, "host": parts.netloc},
                    extensions={"sni_hostname": parts.hostname},  # the certificate must be the host's
                )
                response = await http.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                unreached = error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise NoAnswerError(f"{parts.hostname} did not answer: {error!r}") from error
            else:
                await response.aclose()
                return Answer(response.status_code, _retry_after(response))
        raise NoAnswerError(f"{parts.hostname} cannot be reached: {unreached!r}") from unreached


def _signed(event_id: str, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers of https://www.standardwebhooks.com."""
    at = str(int(datetime.now(UTC).timestamp()))
    signed = b".".join((event_id.encode(), at.encode(), body))
    digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return {
        "content-type": CLOUD_EVENT,
        "user-agent": "essaim",
        "webhook-id": event_id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


def _retry_after(response: "httpx.Response") -> float | None:
    said = response.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()  # loading the roots takes 20 ms
