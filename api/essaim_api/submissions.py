"""Submissions: the request as plain JSON or in a CloudEvent (binary or structured mode), and the callback."""

import json
from typing import Annotated, Any, TypeVar

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_binary, from_structured
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from fastapi import Request as HttpRequest
from pydantic import BaseModel, StringConstraints, ValidationError

from essaim.errors import MessageUnreadableError, RequestInvalidError
from essaim.jobs.receivers import LONGEST_URL
from essaim_api.bodies import parse, read
from essaim_api.context import AppContext
from essaim_api.errors import MediaTypeError

Model = TypeVar("Model", bound=BaseModel)

JSON = "application/json"
CLOUD_EVENT = JSONFormat.CONTENT_TYPE
Key = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[ -~]+$")]
Callback = Annotated[str, StringConstraints(max_length=LONGEST_URL, pattern=r"^https?://[!-~]+$")]
CALLED: dict[str, Any] = {
    "ended": {
        "{$request.query.callback}": {
            "post": {
                "summary": "The job has ended",
                "description": "Delivered at least once, until the answer is a 2xx; signed as in Standard Webhooks.",
                "parameters": [
                    {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
                    for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
                ],
                "requestBody": {
                    "required": True,
                    "content": {CLOUD_EVENT: {"schema": {"$ref": "#/components/schemas/EndEvent"}}},
                },
                "responses": {
                    "2XX": {"description": "Received"},
                    "410": {"description": "Do not call again"},
                    "default": {"description": "Call again later: after `Retry-After`, if given"},
                },
            }
        }
    }
}
REQUIRED = {"specversion", "id", "source", "type"}


async def submitted(http: HttpRequest, context: AppContext) -> tuple[BaseModel, str | None]:
    """The request in the body, and the idempotency key of a CloudEvent, made from its source and id.

    Raises `MediaTypeError`, `MessageUnreadableError`, `RequestInvalidError` and as `essaim_api.bodies.read` and `parse`.
    """
    kind = media_type(http)
    if kind not in (JSON, CLOUD_EVENT):
        raise MediaTypeError(f"send {JSON}, or a CloudEvent with JSON data")
    body = await read(http, context.settings)
    data = parse(body)
    if kind == JSON and "ce-specversion" not in http.headers:
        return fitting(context.payload.request, data), None
    event = _event(http, body, data) if kind == CLOUD_EVENT else _event(http, body, _attributes(http))
    inner = event.get_data()
    request = fitting(context.payload.request, parse(inner) if isinstance(inner, bytes) else inner)
    return request, f"event\n{json.dumps([event.get_source(), event.get_id()])}"  # no Idempotency-Key has a line end


def media_type(http: HttpRequest) -> str:
    """The `Content-Type` without its parameters; empty for a charset other than UTF-8."""
    kind, _, parameters = http.headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip(' "')
    return kind.strip() if charset in ("", "utf-8", "utf8") else ""


def fitting(model: type[Model], data: Any) -> Model:
    """The data validated as that model, strictly: `"3"` is not a number. Raises `RequestInvalidError`."""
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestInvalidError("the request does not fit", [dict(item) for item in found]) from error


def _attributes(http: HttpRequest) -> dict[str, str]:
    return {name.removeprefix("ce-"): value for name, value in http.headers.items() if name.startswith("ce-")}


def _event(http: HttpRequest, body: bytes, attributes: Any) -> BaseCloudEvent:
    # the SDK fills in missing attributes, so check for them first
    if not isinstance(attributes, dict) or not attributes.keys() >= REQUIRED:
        raise MessageUnreadableError(f"not a CloudEvent: it needs {', '.join(sorted(REQUIRED))}")
    read_event = from_structured if media_type(http) == CLOUD_EVENT else from_binary
    try:
        return read_event(HTTPMessage(dict(http.headers), body), JSONFormat(), CloudEvent)
    except (CloudEventValidationError, ValueError, TypeError, AttributeError) as error:
        raise MessageUnreadableError(f"not a CloudEvent: {error}") from error
