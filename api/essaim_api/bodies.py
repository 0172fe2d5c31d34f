"""Request bodies, bounded in bytes and in patience, and JSON that means one thing only. Response bodies that stream."""

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
    """The body as it comes. Raises `refuse(…)` past `limit` bytes (at once, if announced), `StalledError` after `idle`
    seconds without any, `MediaTypeError` for a compressed one: it would not be counted by what it holds."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise MediaTypeError("send the body as it is, without Content-Encoding")
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
                raise StalledError(f"no more of the body came for {idle:g} seconds") from None
            if not chunk:
                return
            count += len(chunk)
            if count > limit:
                raise too_large
            yield chunk


async def read(request: Request, settings: "Settings") -> bytes:
    """The whole of a small body. Raises `RequestTooLargeError` and as `received`."""
    limit, idle = settings.max_request_bytes, settings.idle_seconds
    async with aclosing(received(request, limit=limit, idle=idle, refuse=RequestTooLargeError)) as chunks:
        return b"".join([chunk async for chunk in chunks])


def parse(body: bytes) -> Any:
    """The JSON in a body, if every reader would see the same in it. Raises `MalformedError`.

    So: UTF-8, no lone surrogates, no NaN, no number beyond all bounds, no key twice, nesting that no parser chokes on.
    """
    try:
        from_json(body, allow_inf_nan=False)  # the strict one; it keeps the last of two equal keys, so:
        return json.loads(body, object_pairs_hook=_unique, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the body is no JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


class Streamed(StreamingResponse):
    """A response whose source is opened before its first byte is sent, so that what goes wrong there is still a problem."""

    def __init__(self, source: AbstractAsyncContextManager[AsyncIterator[bytes]], **options: Any) -> None:
        super().__init__((), **options)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._source as self.body_iterator:
            await super().__call__(scope, receive, send)
