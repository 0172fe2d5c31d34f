"""The outermost middleware: applies to every request, whatever its route."""

import logging
import re
import time
from urllib.parse import unquote_to_bytes

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid4

from essaim.errors import EssaimError
from essaim.telemetry import log
from essaim_api.errors import BusyError, FailedError, MalformedError
from essaim_api.problems import respond
from essaim_api.readiness import PROBES

REQUEST_ID = re.compile(rb"[!-~]{1,128}")
CONTROL = re.compile("[\x00-\x1f\x7f]")


class Edge:
    """Gives each request an id, limits how many are open, logs each answer, and hides the details of internal errors.

    Plain ASGI, since Starlette's `BaseHTTPMiddleware` gets in the way of streaming.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began, status = _request_id(scope), time.monotonic(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        self._open += 1
        try:
            refusal = self._refusal(scope)
            await (respond(scope, refusal) if refusal else self._app)(scope, receive, answer)
        except Exception as error:
            if status and isinstance(error.__cause__, EssaimError):
                # such as a text that was replaced while it was read
                log("http.cut", level=logging.WARNING, reason=repr(error.__cause__), request=request_id)
            else:
                log("http.failed", level=logging.ERROR, error=error, request=request_id)
            # after the first byte the status cannot change: the server cuts the connection
            if not status:
                failed = FailedError(f"internal error; find it in the log by the request id {request_id}")
                await respond(scope, failed)(scope, receive, answer)
        finally:
            self._open -= 1
            seconds = f"{time.monotonic() - began:.4f}"
            path = scope["raw_path"].decode("latin-1")
            fields = {"method": scope["method"], "path": path, "status": status, "seconds": seconds}
            log("http.answered", level=logging.DEBUG, request=request_id, **fields)

    def _refusal(self, scope: Scope) -> EssaimError | None:
        if self._open > self._limit and scope["path"] not in PROBES:
            return BusyError(f"{self._limit} requests are open; try again later")
        try:  # the server replaces bad bytes with U+FFFD, so different names would become equal
            path = unquote_to_bytes(scope["raw_path"]).decode()
            unquote_to_bytes(scope["query_string"]).decode()
        except UnicodeDecodeError:
            return MalformedError("the address is not UTF-8")
        return MalformedError("the path has control characters") if CONTROL.search(path) else None


def _request_id(scope: Scope) -> str:
    """The client's own id, if it is safe in a header and a log line."""
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else uuid4().hex
