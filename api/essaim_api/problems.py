"""Errors as `application/problem+json` (RFC 9457). One table maps each error to its problem."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Scope

from essaim import errors
from essaim.errors import EssaimError
from essaim_api.errors import (
    AnonymousError,
    BusyError,
    FailedError,
    FileChangedError,
    HeadTooLargeError,
    MalformedError,
    MediaTypeError,
    MethodError,
    ParameterInvalidError,
    RouteNotFoundError,
    StalledError,
    TransferCodingError,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:problem-type:essaim:"
MAX_DETAIL = 500  # characters; a detail may quote the client
RETRY_LATER = {"Retry-After": "1"}


class Kind(NamedTuple):
    """A kind of problem: its status, the last part of its type URN, its title and its headers."""

    status: int
    slug: str
    title: str
    headers: Mapping[str, str] = {}


KINDS: dict[type[EssaimError], Kind] = {
    MalformedError: Kind(400, "malformed", "The request cannot be read"),
    errors.MessageUnreadableError: Kind(400, "event-unreadable", "The event cannot be read"),
    errors.TextNameError: Kind(400, "text-name", "This is not a valid name for a text"),
    AnonymousError: Kind(
        401, "unauthorized", "A valid token is required", {"WWW-Authenticate": 'Bearer realm="essaim"'}
    ),
    RouteNotFoundError: Kind(404, "not-found", "Not found"),
    errors.JobNotFoundError: Kind(404, "job-not-found", "There is no such job"),
    errors.DeadLetterNotFoundError: Kind(404, "dead-letter-not-found", "There is no such dead letter"),
    errors.ResultNotFoundError: Kind(404, "result-not-found", "The job has no result"),
    errors.TextNotFoundError: Kind(404, "text-not-found", "There is no such text"),
    MethodError: Kind(405, "method", "Method not allowed"),
    StalledError: Kind(408, "stalled", "The request was not completed", {"Connection": "close"}),
    errors.JobNotRetryableError: Kind(409, "job-not-retryable", "The job cannot be retried"),
    errors.LeaseLostError: Kind(409, "lease-lost", "A newer attempt has taken over"),
    FileChangedError: Kind(412, "file-changed", "The file has changed"),
    errors.TextChangedError: Kind(412, "text-changed", "The text has changed"),
    errors.TextExistsError: Kind(412, "text-exists", "The text exists already"),
    errors.RequestTooLargeError: Kind(413, "request-too-large", "The request is too large"),
    errors.TextTooLargeError: Kind(413, "text-too-large", "The text is too large"),
    MediaTypeError: Kind(415, "media-type", "Unsupported media type"),
    errors.RangeInvalidError: Kind(416, "range", "The range lies outside the text"),
    errors.CallbackRefusedError: Kind(422, "callback", "The callback is not allowed"),
    errors.CursorInvalidError: Kind(422, "cursor", "Unknown cursor"),
    errors.IdempotencyConflictError: Kind(
        422, "idempotency-conflict", "The idempotency key was used for another request"
    ),
    errors.InputsChangedError: Kind(422, "inputs-changed", "An input of the job has changed"),
    errors.JobError: Kind(422, "job", "The request cannot succeed"),
    errors.RequestInvalidError: Kind(422, "invalid", "The request does not fit"),
    errors.ResultTooLargeError: Kind(422, "result-too-large", "The result is too large"),
    errors.TooManyTasksError: Kind(422, "too-many-tasks", "The request splits into too many tasks"),
    HeadTooLargeError: Kind(431, "head-too-large", "The header fields are too large"),
    FailedError: Kind(500, "failed", "Internal error"),
    errors.SettingsError: Kind(500, "settings", "The server is misconfigured"),
    TransferCodingError: Kind(501, "transfer-coding", "The transfer coding is not supported"),
    BusyError: Kind(503, "busy", "Too many requests at once", RETRY_LATER),
    errors.QueueFullError: Kind(503, "queue-full", "The queue is full", RETRY_LATER),
    errors.UnavailableError: Kind(503, "unavailable", "A backend does not answer", RETRY_LATER),
}


class FieldProblem(BaseModel):
    """What is wrong with one field of the body (`pointer` is a JSON pointer) or with one parameter."""

    model_config = ConfigDict(defer_build=True)

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class ProblemDetails(BaseModel):
    """Problem details for HTTP APIs, RFC 9457."""

    model_config = ConfigDict(defer_build=True)  # only the OpenAPI document needs it

    type: str = Field(description="the kind of problem, for programs")
    title: str = Field(description="the kind of problem, for people")
    status: int
    detail: str = Field(description="what is wrong this time, and what to do about it")
    instance: str = Field(description="the path of the request")
    errors: list[FieldProblem] = Field(default=[], description="each invalid field or parameter")


def kind_of(error: type[EssaimError]) -> Kind:
    """The kind of problem of an error. A subclass without a row has the kind of its parent."""
    return next((KINDS[parent] for parent in error.__mro__ if parent in KINDS), KINDS[FailedError])


def document(error: EssaimError, instance: str) -> dict[str, object]:
    """The problem details of an error."""
    kind = kind_of(type(error))
    found: dict[str, object] = {
        "type": TYPE_PREFIX + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": str(error)[:MAX_DETAIL],
        "instance": instance,
    }
    match error:
        case ParameterInvalidError(errors=[_, *_] as items):
            return {**found, "errors": [_in_parameter(item) for item in items]}
        case errors.RequestInvalidError(errors=[_, *_] as items):
            return {**found, "errors": [_in_body(item) for item in items]}
    return found


def respond(scope: Scope, error: EssaimError) -> Response:
    """The response for an error. ASCII only, since a detail may quote anything that a client sent."""
    kind = kind_of(type(error))
    body = json.dumps(document(error, scope["raw_path"].decode("latin-1")))
    headers = {**kind.headers, **getattr(error, "headers", {})}
    return Response(body, kind.status, headers, MEDIA_TYPE)


def responses(kinds: Iterable[type[EssaimError]]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of these errors."""
    found: dict[int | str, dict[str, Any]] = {}
    for error in kinds:
        kind = kind_of(error)
        says = (error.__doc__ or kind.title).splitlines()[0]
        entry = found.setdefault(kind.status, {"description": kind.title, "content": {MEDIA_TYPE: {"examples": {}}}})
        content = entry["content"][MEDIA_TYPE]
        content["schema"] = {"$ref": "#/components/schemas/ProblemDetails"}
        content["examples"][kind.slug] = {"summary": kind.title, "value": document(error(says), "/v1/…")}
    return found


# Pydantic's errors, without the input that they quote: it may be large, secret, or not JSON.


def _in_body(item: Mapping[str, Any]) -> dict[str, str]:
    parts = (str(part).replace("~", "~0").replace("/", "~1")[:MAX_DETAIL] for part in item.get("loc", ()))
    return {"detail": _says(item), "pointer": "".join(["#", *("/" + part for part in parts)])}


def _in_parameter(item: Mapping[str, Any]) -> dict[str, str]:
    return {"detail": _says(item), "parameter": str(item["loc"][1])}


def _says(item: Mapping[str, Any]) -> str:
    return str(item.get("msg", "does not fit")).removeprefix("Value error, ")[:MAX_DETAIL]
