"""Jobs over HTTP: submitted, waited for, or refused with what is wrong."""

import asyncio
from typing import Any

import pytest

from tests.integration.conftest import Serving, Site
from tests.integration.submissions import BODY, JSON, REQUEST

AMBIGUOUS = [
    b"",
    b"{",
    b"words",
    b'{"text": NaN, "words": ["a"]}',
    b'{"text": "a", "words": ["a"], "positions": 1e999}',
    b'{"text": "\xff", "words": ["a"]}',
    b'{"text": "\\ud800", "words": ["a"]}',
    b'{"\\ud800": 1}',
    b'{"text": "a", "words": ["a"], "words": ["b"]}',
    b'{"text": "a", "words": ["a"], "w": {"x": 1, "x": 1}}',
    b"[" * 4000,
    b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b"9" * 5000,
    BODY + b" {}",
    b"\xef\xbb\xbf" + BODY,
    BODY.decode().encode("utf-16"),
    BODY.decode().encode("utf-32"),
]


async def test_a_submitted_job_is_queued_and_can_be_seen(site: Site) -> None:
    submitted = await site.http.post("/v1/jobs", json=REQUEST)
    assert submitted.status_code == 202
    job = submitted.json()
    assert submitted.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["state"], job["request"], job["result"], job["owner"]) == ("queued", REQUEST, None, "anonymous")

    shown = await site.http.get(submitted.headers["location"])
    assert (shown.status_code, shown.json()) == (200, job)
    assert [entry["id"] for entry in await site.jobs()] == [job["id"]]
    stats = (await site.http.get("/v1/stats")).json()
    assert stats["queue"] == {"ready": 1, "in_flight": 0}
    assert stats["release"] == "dev"
    assert stats["jobs"] == {"dev": {"queued": 1}}


async def test_a_client_can_wait_for_the_result(site: Site) -> None:
    waiting = asyncio.create_task(
        site.http.post("/v1/jobs", json=REQUEST, headers={"prefer": "respond-async, wait=20", "idempotency-key": "k"})
    )
    while not (found := await site.jobs()):
        await asyncio.sleep(0.01)
    await site.succeed(found[0]["id"])
    answer = await waiting
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.json()["result"]["counts"] == {"swarm": 1}
    assert answer.headers["preference-applied"] == "wait=20"


async def test_a_job_that_takes_longer_than_the_wait_is_answered_as_it_is(serving: Serving) -> None:
    async with serving(max_wait_seconds=0) as site:
        answer = await site.http.post("/v1/jobs", json=REQUEST, headers={"prefer": "wait=3600"})
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        assert answer.headers["preference-applied"] == "wait=0"


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=-1", "wait=soon", "await=5", "return=minimal"])
async def test_a_preference_that_is_none_of_ours_is_ignored(site: Site, prefer: str) -> None:
    answer = await site.http.post("/v1/jobs", json=REQUEST, headers={"prefer": prefer})
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("kind", ["application/json", "application/cloudevents+json"])
async def test_json_that_readers_see_differently_is_refused(site: Site, kind: str) -> None:
    for body in AMBIGUOUS:
        answer = await site.http.post("/v1/jobs", content=body, headers={"content-type": kind})
        assert answer.status_code == 400, (body, answer.text)
        assert answer.json()["type"] == "urn:problem-type:essaim:malformed", body
    assert await site.jobs() == []


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "multipart/form-data", ""],
)
async def test_a_body_of_another_type_is_refused(site: Site, kind: str) -> None:
    answer = await site.http.post("/v1/jobs", content=BODY, headers={"content-type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize("headers", [{"content-length": "9000"}, {}], ids=["announced", "chunked"])
async def test_a_request_over_the_limit_is_refused(site: Site, headers: dict[str, str]) -> None:
    async def chunks() -> Any:
        for _ in range(90):
            yield b" " * 100

    answer = await site.http.post("/v1/jobs", content=chunks(), headers={**JSON, **headers})
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:problem-type:essaim:request-too-large"


async def test_a_request_that_does_not_fit_is_told_where(site: Site) -> None:
    body = {"text": "a", "words": ["ok", 3], "a/b~c": 1, "positions": "3", "path": 1}
    answer = await site.http.post("/v1/jobs", json=body)
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        "#/words/1",
        "#/a~1b~0c",
        "#/positions",
        "#/path",
    }


async def test_a_full_queue_says_when_to_come_back(serving: Serving) -> None:
    async with serving(max_queue_length=1) as site:
        await site.submit()
        refused = await site.http.post("/v1/jobs", json=REQUEST)
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:problem-type:essaim:queue-full"
        assert int(refused.headers["retry-after"]) > 0
        assert len(await site.jobs()) == 1
