"""The OpenAPI document: FastAPI's, plus the schemas of bodies that routes read themselves."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from essaim.jobs.model import Problem, State
from essaim.jobs.payload import Payload
from essaim_api.problems import ProblemDetails
from essaim_api.views import EXAMPLE, Replay

REFERENCES = "#/components/schemas/{model}"
Named = Annotated[str, Field(min_length=1)]
EVENT = {"specversion": "1.0", "type": "com.example.requested", "source": "/desk/7", "id": "1"}


class RequestEvent(BaseModel):
    """A request as a CloudEvent in structured mode. `source` and `id` together are its idempotency key."""

    model_config = ConfigDict(defer_build=True)

    specversion: Literal["1.0"]
    type: Named
    source: Named
    id: Named
    data: Any


class End(BaseModel):
    """How a job ended. `result` is the path of its result if it succeeded."""

    model_config = ConfigDict(defer_build=True)

    version: Literal[1]
    id: str
    state: Literal[State.SUCCEEDED, State.FAILED, State.CANCELLED]
    run: int
    release: str
    created: datetime
    ended: datetime
    problem: Problem | None
    result: str | None


class EndEvent(BaseModel):
    """A job has ended. Repeated notifications of the same end have the same `id`."""

    model_config = ConfigDict(defer_build=True)

    specversion: Literal["1.0"]
    type: Literal["essaim.job.succeeded", "essaim.job.failed", "essaim.job.cancelled"]
    source: Named
    id: Named
    subject: Named = Field(description="the id of the job")
    time: datetime
    datacontenttype: Literal["application/json"]
    data: End


class Api(FastAPI):
    """FastAPI with a complete document, built on first use."""

    def __init__(self, payload: Payload, **options: Any) -> None:
        super().__init__(**options)
        self.payload = payload

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = _complete(super().openapi(), self.payload)
        return self.openapi_schema


def _complete(document: dict[str, Any], payload: Payload) -> dict[str, Any]:
    models: list[tuple[type[BaseModel], Literal["validation"]]] = [
        (model, "validation")
        for model in (payload.request, payload.result, RequestEvent, EndEvent, Replay, ProblemDetails)
    ]
    schemas: dict[str, Any] = document["components"]["schemas"]
    for name, schema in models_json_schema(models, ref_template=REFERENCES)[1]["$defs"].items():
        schemas.setdefault(name, schema)
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own 422
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            _tidy(operation)
    # not in the models: FastAPI drops nulls, even in examples
    schemas["JobSummary"]["examples"] = [EXAMPLE]
    request, result = ({"$ref": REFERENCES.format(model=model.__name__)} for model in (payload.request, payload.result))
    schemas["JobDetails"]["properties"].update(request=request, result={"anyOf": [result, {"type": "null"}]})
    schemas["RequestEvent"]["properties"]["data"] = request
    for example in schemas["Request"].get("examples", ())[:1]:
        schemas["JobDetails"]["examples"] = [{**EXAMPLE, "request": example, "result": None}]
        schemas["RequestEvent"]["examples"] = [{**EVENT, "data": example}]
    return document


def _tidy(operation: dict[str, Any]) -> None:
    """Remove FastAPI's own 422: the routes document theirs themselves."""
    found = operation["responses"].get("422", {}).get("content", {})
    if "HTTPValidationError" in str(found.get("application/json", {})):
        del operation["responses"]["422"]
