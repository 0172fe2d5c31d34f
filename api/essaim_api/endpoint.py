"""A route without its path: the function, and how the OpenAPI document describes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from fastapi import APIRouter, Depends

from essaim.errors import EssaimError, UnavailableError
from essaim_api.errors import AnonymousError, BusyError, FailedError, MalformedError, StalledError
from essaim_api.problems import responses
from essaim_api.security import OWNER, Owner

ALWAYS = (MalformedError, FailedError, BusyError, UnavailableError)  # of every route
NEEDS_OWNER = (AnonymousError,)
WITH_BODY = (StalledError,)

Call = Callable[..., Any]


@dataclass(frozen=True)
class Endpoint:
    """A route for `essaim_api.app` to mount."""

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
    """Document a route: the status on success with its headers and an example, other `answers` by status, the errors it
    raises, and the `body` it reads, by media type. `options` are FastAPI's. The return type is the response model.
    """

    def document(call: Call) -> Endpoint:
        described = {
            name: {"description": says, "schema": {"type": "string"}} for name, says in (headers or {}).items()
        }
        found: dict[int | str, dict[str, Any]] = {code: dict(answer) for code, answer in (answers or {}).items()}
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
    """Mount an endpoint. Unless it is public, it needs a token if any are set.

    HEAD beside GET is not documented: it is the same answer without the body.
    """
    has_owner = Owner in get_type_hints(route.call, include_extras=True).values()
    for method in methods.split():
        answers = responses((*route.errors, *ALWAYS, *(() if public else NEEDS_OWNER)))
        answers.update(route.answers)
        router.add_api_route(
            path,
            route.call,
            methods=[method],
            status_code=route.status,
            responses=answers,
            dependencies=[] if public or has_owner else [Depends(OWNER)],
            include_in_schema=method != "HEAD" or "GET" not in methods,
            operation_id=f"{route.call.__module__.rpartition('.')[2]}_{route.call.__name__}".rstrip("_"),
            **route.options,
        )
