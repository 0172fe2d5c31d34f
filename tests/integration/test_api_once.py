"""A job is submitted once, however often its request comes: by its key, or as a CloudEvent."""

import asyncio
import base64
import json
from typing import Any

import pytest

from tests.integration.conftest import Serving, Site
from tests.integration.submissions import BODY, EVENT, REQUEST


@pytest.mark.parametrize("mode", ["binary", "structured", "base64"])
async def test_a_cloud_event_is_a_job_once(site: Site, mode: str) -> None:
    def submission(words: list[str]) -> dict[str, Any]:
        data = {**REQUEST, "words": words}
        if mode == "binary":
            return {"json": data, "headers": {f"ce-{name}": value for name, value in EVENT.items()}}
        body = {**EVENT, "data": data} if mode == "structured" else {**EVENT, "data_base64": _base64(data)}
        return {"content": json.dumps(body), "headers": {"content-type": "application/cloudevents+json"}}

    first = await site.http.post("/v1/jobs", **submission(["swarm"]))
    again = await site.http.post("/v1/jobs", **submission(["swarm"]))
    other = await site.http.post("/v1/jobs", **submission(["bees"]))
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422), other.text
    assert first.json()["request"] == REQUEST
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(await site.jobs()) == 1


async def test_a_whole_cloud_event_is_read_whole_whatever_else_the_headers_say(site: Site) -> None:
    headers = {"content-type": "application/cloudevents+json", "ce-id": "other", "ce-source": "/elsewhere"}
    body = json.dumps({**EVENT, "data": REQUEST})
    assert (await site.http.post("/v1/jobs", content=body, headers=headers)).json()["request"] == REQUEST


async def test_the_key_of_a_client_comes_before_that_of_its_event(site: Site) -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    ids = set()
    for key in ("one", "two"):
        answer = await site.http.post("/v1/jobs", json=REQUEST, headers={**headers, "idempotency-key": key})
        ids.add(answer.json()["id"])
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"ce-specversion": "1.0", "content-type": "application/json"}, BODY),
        ({**{f"ce-{k}": v for k, v in EVENT.items()}, "ce-time": "soon", "content-type": "application/json"}, BODY),
        ({"content-type": "application/cloudevents+json"}, b"[]"),
        ({"content-type": "application/cloudevents+json"}, b"3"),
        ({"content-type": "application/cloudevents+json"}, b"{}"),
        ({"content-type": "application/cloudevents+json"}, json.dumps({**EVENT, "id": 3}).encode()),
        ({"content-type": "application/cloudevents+json"}, json.dumps({"source": "/", "data": REQUEST}).encode()),
        ({"content-type": "application/cloudevents+json"}, json.dumps({**EVENT, "specversion": "0.3"}).encode()),
        ({"content-type": "application/cloudevents+json"}, json.dumps({**EVENT, "time": 3}).encode()),
        ({"content-type": "application/cloudevents+json"}, json.dumps({**EVENT, "data_base64": "%"}).encode()),
    ],
)
async def test_what_is_no_cloud_event_is_refused(site: Site, headers: dict[str, str], body: bytes) -> None:
    answer = await site.http.post("/v1/jobs", content=body, headers=headers)
    assert answer.status_code == 400, answer.text


async def test_the_same_key_gives_the_same_job(site: Site) -> None:
    key = {"idempotency-key": '"8e03978e-40d5"'}
    first = await site.http.post("/v1/jobs", json=REQUEST, headers=key)
    again = await site.http.post("/v1/jobs", json=REQUEST, headers=key)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json() == again.json()
    assert len(await site.jobs()) == 1
    assert (await site.backends.queue.depth()).ready == 1


async def test_the_same_key_with_another_request_is_a_conflict(site: Site) -> None:
    key = {"idempotency-key": "k"}
    await site.http.post("/v1/jobs", json=REQUEST, headers=key)
    other = await site.http.post("/v1/jobs", json={**REQUEST, "words": ["bees"]}, headers=key)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:problem-type:essaim:idempotency-conflict"


async def test_the_same_key_at_the_same_time_gives_one_job(site: Site) -> None:
    key = {"idempotency-key": "k"}
    answers = await asyncio.gather(*(site.http.post("/v1/jobs", json=REQUEST, headers=key) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len([answer for answer in answers if "idempotency-replayed" not in answer.headers]) == 1
    assert len(await site.jobs()) == 1


async def test_a_key_belongs_to_its_owner(serving: Serving) -> None:
    async with serving(api_tokens="ann:secret-a,ben:secret-b") as site:
        ids = {}
        for token in ("secret-a", "secret-b"):
            headers = {"authorization": f"Bearer {token}", "idempotency-key": "k"}
            job = (await site.http.post("/v1/jobs", json=REQUEST, headers=headers)).json()
            ids[job["owner"]] = job["id"]
        assert ids.keys() == {"ann", "ben"}
        assert ids["ann"] != ids["ben"]


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"caf\xe9"])
async def test_a_key_is_short_and_printable(site: Site, key: bytes) -> None:
    answer = await site.http.post("/v1/jobs", json=REQUEST, headers={b"idempotency-key": key})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "idempotency-key"


def _base64(data: object) -> str:
    return base64.b64encode(json.dumps(data).encode()).decode()
