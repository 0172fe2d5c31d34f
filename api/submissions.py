"""What a client submits: the request itself as JSON, or in a CloudEvent (binary or structured mode)."""

import json
from typing import Any, TypeVar

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from fastapi import Request as HttpRequest
from pydantic import BaseModel, ValidationError

from api.bodies import parse, read
from api.context import Context
from api.errors import MediaTypeError
from jobs.errors import MessageUnreadableError, RequestInvalidError
from jobs.payload import Request

Model = TypeVar("Model", bound=BaseModel)

JSON = "application/json"
CLOUD_EVENT = JSONFormat.CONTENT_TYPE


async def submitted(http: HttpRequest, here: Context) -> tuple[Request, str | None]:
    """The request in the body, and the key that a CloudEvent is known by: its source and id together are unique.

    Raises `MediaTypeError`, `MessageUnreadableError`, `RequestInvalidError` and as `api.bodies.read` and `parse`.
    """
    kind = media_type(http)
    if kind not in (JSON, CLOUD_EVENT):
        raise MediaTypeError(f"send {JSON}, or a CloudEvent with JSON data")
    body = await read(http, here.settings)
    data = parse(body)
    if kind == JSON and "ce-specversion" not in http.headers:
        return fitting(Request, data), None
    event = _event(http, body)
    inner = event.get_data()
    request = fitting(Request, parse(inner) if isinstance(inner, bytes) else inner)
    return request, f"event\n{json.dumps([event.get_source(), event.get_id()])}"  # no Idempotency-Key has a line end


def media_type(http: HttpRequest) -> str:
    """What the client says the body is, without parameters; empty for a charset other than UTF-8."""
    kind, _, parameters = http.headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip(' "')
    return kind.strip() if charset in ("", "utf-8", "utf8") else ""


def fitting(model: type[Model], data: Any) -> Model:
    """The data as that model, types as JSON has them: `"3"` is no number. Raises `RequestInvalidError`."""
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestInvalidError("the request does not fit", [dict(item) for item in found]) from error


def _event(http: HttpRequest, body: bytes) -> BaseCloudEvent:
    try:
        return from_http(HTTPMessage(dict(http.headers), body), JSONFormat())
    except (CloudEventValidationError, ValueError, TypeError, AttributeError) as error:
        raise MessageUnreadableError(f"this is no CloudEvent: {error}") from error
