"""One call of a receiver: a signed CloudEvent, sent to an address that was looked at before."""

import asyncio
import base64
import hashlib
import hmac
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult

from essaim.errors import CallbackRefusedError, EssaimError
from essaim.jobs.receivers import Receivers

if TYPE_CHECKING:
    import httpx

CALL_SECONDS = 10.0  # for all of it
CONNECT_SECONDS = 3.0  # for each address
CLOUD_EVENT = "application/cloudevents+json"


class NoAnswerError(EssaimError):
    """The receiver could not be reached, or did not answer in time."""


@dataclass(frozen=True)
class Answer:
    """What the receiver said, without the body, which nobody reads. `retry_after` is in seconds."""

    status: int
    retry_after: float | None


async def call(url: str, event_id: str, body: bytes, receivers: Receivers, keys: Sequence[bytes]) -> Answer:
    """POST the body to the URL. Raises `CallbackRefusedError` for what may not be called, `NoAnswerError`."""
    parts = receivers.check(url)
    try:
        async with asyncio.timeout(CALL_SECONDS):
            addresses = await _addresses(parts, receivers)
            return await _post(url, parts, addresses, body, _signed(event_id, body, keys))
    except TimeoutError:
        raise NoAnswerError(f"{parts.hostname} did not answer within {CALL_SECONDS:.0f} seconds") from None


async def _addresses(parts: SplitResult, receivers: Receivers) -> list[str]:
    """Where the host is. All must be allowed: else who owns the name could try until the right one comes first."""
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


async def _post(url: str, parts: SplitResult, addresses: Sequence[str], body: bytes, headers: dict[str, str]) -> Answer:
    import httpx  # here: an idle worker does without

    # A client for each call: kept connections are told apart by address, and one address may be that of several hosts.
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
    """Headers as https://www.standardwebhooks.com says."""
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
