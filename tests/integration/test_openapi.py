"""The OpenAPI document: true, whole, and held against the running API by schemathesis."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from essaim.jobs.payload import load_payload
from essaim_api.app import register
from essaim_api.openapi import Api
from essaim_api.problems import KINDS
from essaim_words.payload import Request
from tests.conftest import BuildHouse, eventually

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = Api(load_payload("essaim_words"), title="Essaim", version="1", separate_input_output_schemas=False)
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


async def test_the_document_holds_against_the_running_api(build_house: BuildHouse, tmp_path: Path) -> None:
    house = build_house(None, api_port=0, api_tokens="ann:secret", stream_seconds=0.2, max_wait_seconds=0)
    house.start("api")
    found = await eventually(lambda: re.search(r"api\.listening address=(\S+)", house.logs()))
    arguments = ["run", f"{found[1]}/openapi.json", "--header", "Authorization: Bearer secret"]
    tested = await asyncio.to_thread(
        subprocess.run,
        [Path(sys.executable).with_name("st"), "--config-file", HERE / "schemathesis.toml", "--no-color", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert tested.returncode == 0, tested.stdout
    assert "http.failed" not in house.logs()
