"""Request bodies with limits on size and idle time, strict JSON, and streamed response bodies."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any

from fastapi import Request
from pydantic_core import from_json
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from essaim.errors import EssaimError, RequestTooLargeError
from essaim_api.errors import MalformedError, MediaTypeError, StalledError

if TYPE_CHECKING:
    from essaim.jobs.settings import Settings


async def received(
    request: Request, *, limit: int, idle: float, refuse: Callable[[str], EssaimError]
) -> AsyncGenerator[bytes]:
    """The body in chunks, as they arrive. Raises `refuse(…)` beyond `limit` bytes (at once if Content-Length says so),
    `StalledError` after `idle` seconds without data, and `MediaTypeError` for a compressed body, whose real size is unknown.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise MediaTypeError("send the body uncompressed, without Content-Encoding")
    too_large = refuse(f"the body has more than {limit} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large
    count = 0
    async with aclosing(request.stream()) as stream:
        while True:
            try:
                async with asyncio.timeout(idle):
                    chunk = await anext(stream, b"")
            except TimeoutError:
                raise StalledError(f"no data arrived for {idle:g} seconds") from None
            if not chunk:
                return
            count += len(chunk)
            if count > limit:
                raise too_large
            yield chunk


async def read(request: Request, settings: "Settings") -> bytes:
    """A small body, whole. Raises `RequestTooLargeError`, and as `received`."""
    limit, idle = settings.max_request_bytes, settings.idle_seconds
    async with aclosing(received(request, limit=limit, idle=idle, refuse=RequestTooLargeError)) as chunks:
        return b"".join([chunk async for chunk in chunks])


def parse(body: bytes) -> Any:
    """The JSON in a body, if every parser would read it the same way. Raises `MalformedError`.

    That excludes lone surrogates, NaN, infinite numbers, duplicate keys and excessive nesting.
    """
    try:
        from_json(body, allow_inf_nan=False)  # strict, but keeps the last of two equal keys; hence the second parser
        return json.loads(body, object_pairs_hook=_unique, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the body is not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("duplicate key in an object")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


class Streamed(StreamingResponse):
    """A response that opens its source before it sends the first byte: an error there still becomes a problem response."""

    def __init__(self, source: AbstractAsyncContextManager[AsyncIterator[bytes]], **options: Any) -> None:
        super().__init__((), **options)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._source as self.body_iterator:
            await super().__call__(scope, receive, send)
