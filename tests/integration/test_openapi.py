"""The OpenAPI document: true, whole, and held against the running API by schemathesis."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from api.app import register
from api.openapi import Api
from api.problems import KINDS
from jobs.payload import Request

METHODS = ("get", "put", "post", "delete", "head")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = Api(title="Essaim", version="1", separate_input_output_schemas=False)
    register(app.router)
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def test_every_error_of_a_route_is_a_problem(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (method, path, status)
    assert "HTTPValidationError" not in str(document)


def test_every_v1_route_wants_a_token_and_says_so(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        assert ("security" in operation) == path.startswith("/v1/") == ("401" in operation["responses"]), (method, path)


def test_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


def test_the_schema_of_a_request_is_the_workloads_own(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Request"]["properties"].keys() == Request.model_fields.keys()


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    checked = 0
    for schema, example in examples(document):
        validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
        validator.validate(example)
        checked += 1
    assert checked > len(KINDS)


def examples(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    for _, _, operation in operations(document):
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in part.get("content", {}).values():
                if "example" in content:
                    yield content["schema"], content["example"]
                for example in content.get("examples", {}).values():
                    yield content["schema"], example["value"]
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            yield {"$ref": f"#/components/schemas/{name}"}, example
