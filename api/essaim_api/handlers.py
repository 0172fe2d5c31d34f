"""Exception handlers: answers for errors raised by routes, and for requests without a route."""

import logging

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Scope

from essaim.errors import EssaimError
from essaim.telemetry import log
from essaim_api.errors import MalformedError, MethodError, ParameterInvalidError, RouteNotFoundError
from essaim_api.problems import kind_of, respond
from essaim_api.readiness import PROBES

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE")


def handle_problems(app: FastAPI) -> None:
    """Answer every `EssaimError` that a route raises. Other exceptions go on to `essaim_api.edge`."""

    async def expected(request: Request, error: Exception) -> Response:
        assert isinstance(error, EssaimError)  # noqa: S101  # it was registered for these
        is_probe = request.scope["path"] in PROBES  # `essaim_api.readiness` logs those, once
        if kind_of(type(error)).status >= 500 and not is_probe:
            log("http.refused", level=logging.WARNING, reason=repr(error))
        return respond(request.scope, error)

    async def unfitting(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
        items = [dict(item) for item in error.errors()]
        return respond(request.scope, ParameterInvalidError("a parameter or a header field does not fit", items))

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # as above
        return respond(request.scope, _unrouted(app, request, error))

    async def left(request: Request, error: Exception) -> Response:
        return respond(request.scope, MalformedError("the client disconnected"))  # nobody reads this

    app.add_exception_handler(EssaimError, expected)
    app.add_exception_handler(RequestValidationError, unfitting)
    app.add_exception_handler(HTTPException, unrouted)
    app.add_exception_handler(ClientDisconnect, left)


def _unrouted(app: FastAPI, request: Request, error: HTTPException) -> EssaimError:
    match error.status_code:
        case 404:
            return RouteNotFoundError(f"no route leads to {request.scope['path']}")
        case 405:
            allowed = [method for method in METHODS if _fits(app, {**request.scope, "method": method})]
            return MethodError(f"{request.method} is not allowed here; use {' or '.join(allowed)}", allowed)
        case _:
            return MalformedError(str(error.detail))


def _fits(app: FastAPI, scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in app.router.routes)
