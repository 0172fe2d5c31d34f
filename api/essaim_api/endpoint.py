"""A route without its path: the function, and what the OpenAPI document says of its answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from fastapi import APIRouter, Depends

from essaim.errors import EssaimError, UnavailableError
from essaim_api.errors import AnonymousError, BusyError, FailedError, MalformedError, StalledError
from essaim_api.problems import responses
from essaim_api.security import OWNER, Owner

ALWAYS = (MalformedError, FailedError, BusyError, UnavailableError)  # any route may answer these
NEEDS_OWNER = (AnonymousError,)
WITH_BODY = (StalledError,)

Call = Callable[..., Any]


@dataclass(frozen=True)
class Endpoint:
    """What `essaim_api.app` gives a path to."""

    call: Call
    status: int
    errors: Sequence[type[EssaimError]]
    answers: dict[int | str, dict[str, Any]]
    options: Mapping[str, Any]


def endpoint(
    status: int = 200,
    *,
    errors: Sequence[type[EssaimError]] = (),
    answers: Mapping[int, dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    body_required: bool = False,
    example: object = None,
    **options: Any,
) -> Callable[[Call], Endpoint]:
    """Document a route: its status on success with an example and the headers that go with it, further `answers` by
    status, the errors it raises, the `body` it reads by media type. `options` are FastAPI's. What it returns is its model.
    """

    def document(call: Call) -> Endpoint:
        described = {
            name: {"description": says, "schema": {"type": "string"}} for name, says in (headers or {}).items()
        }
        found: dict[int | str, dict[str, Any]] = {}
        found.update({code: dict(answer) for code, answer in (answers or {}).items()})
        found.setdefault(status, {})["headers"] = described
        if example is not None:
            found[status]["content"] = {"application/json": {"example": example}}
        if body is not None:
            read = {"requestBody": {"required": body_required, "content": dict(body)}}
            options["openapi_extra"] = {**options.get("openapi_extra", {}), **read}
        raised = (*errors, *(WITH_BODY if body is not None else ()))
        return Endpoint(call, status, raised, found, options)

    return document


def add(router: APIRouter, methods: str, path: str, route: Endpoint, *, public: bool = False) -> None:
    """Put an endpoint on a path. All but the public ones want a token, where tokens are set.

    HEAD beside GET is not documented: it answers the same without the body.
    """
    asks_itself = Owner in get_type_hints(route.call, include_extras=True).values()
    for method in methods.split():
        answers = responses((*route.errors, *ALWAYS, *(() if public else NEEDS_OWNER)))
        answers.update(route.answers)
        router.add_api_route(
            path,
            route.call,
            methods=[method],
            status_code=route.status,
            responses=answers,
            dependencies=[] if public or asks_itself else [Depends(OWNER)],
            include_in_schema=method != "HEAD" or "GET" not in methods,
            operation_id=f"{route.call.__module__.rpartition('.')[2]}_{route.call.__name__}".rstrip("_"),
            **route.options,
        )
