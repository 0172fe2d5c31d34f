"""Jobs over HTTP: submitted once, shown, waited for, cancelled, tried again."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.model import Problem, State, Worker
from tests.integration.conftest import Serving, Site

REQUEST = {"text": "a swarm of bees", "words": ["swarm"]}
BODY = json.dumps(REQUEST).encode()
JSON = {"content-type": "application/json"}
NOBODY = "00000000-0000-4000-8000-000000000000"
EVENT = {"specversion": "1.0", "type": "com.example.asked", "source": "/desk/7", "id": "41"}
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


CALLBACKS = {"callback_hosts": "hooks.example.com", "callback_secret": "x" * 24}


async def test_a_callback_is_taken_and_shown(serving: Serving) -> None:
    async with serving(**CALLBACKS) as site:
        url = "https://hooks.example.com/done?for=7&x=%C3%A9"
        response = await site.http.post("/v1/jobs", params={"callback": url}, json=REQUEST)
        assert (response.status_code, response.json()["callback"]) == (202, url)
        assert (await site.http.get(response.headers["location"])).json()["callback"] == url
        assert (await site.job(response.json()["id"])).callback == url
        event = {**EVENT, "data": REQUEST}
        headers = {"content-type": "application/cloudevents+json"}
        again = await site.http.post("/v1/jobs", params={"callback": url}, content=json.dumps(event), headers=headers)
        assert again.json()["callback"] == url


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://evil.example/", "callback"),
        ("http://hooks.example.com/", "callback"),
        ("https://ann@hooks.example.com/", "callback"),
        ("https://hooks.example.com/#x", "callback"),
        ("https://127.0.0.1/", "callback"),
        ("ftp://hooks.example.com/", "invalid"),
        ("https://hooks.example.com/" + "x" * 2000, "invalid"),
        ("", "invalid"),
    ],
)
async def test_a_callback_that_may_not_be_called_is_refused(serving: Serving, url: str, kind: str) -> None:
    async with serving(**CALLBACKS) as site:
        response = await site.http.post("/v1/jobs", params={"callback": url}, json=REQUEST)
        assert response.status_code == 422
        assert response.json()["type"] == f"urn:problem-type:essaim:{kind}"
        assert not await jobs(site)


async def test_without_hosts_no_callbacks_are_taken(site: Site) -> None:
    response = await site.http.post("/v1/jobs", params={"callback": "https://hooks.example.com/"}, json=REQUEST)
    assert response.status_code == 422
    assert "no callbacks are taken" in response.json()["detail"]


async def test_the_same_key_with_another_callback_is_a_conflict(serving: Serving) -> None:
    async with serving(**CALLBACKS) as site:
        for number, status in ((1, 202), (1, 202), (2, 422)):
            params = {"callback": f"https://hooks.example.com/{number}"}
            headers = {"idempotency-key": "k"}
            response = await site.http.post("/v1/jobs", params=params, json=REQUEST, headers=headers)
            assert response.status_code == status


async def jobs(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await site.http.get("/v1/jobs")).json()["jobs"]
    return found


async def test_a_submitted_job_is_queued_and_can_be_seen(site: Site) -> None:
    submitted = await site.http.post("/v1/jobs", json=REQUEST)
    assert submitted.status_code == 202
    job = submitted.json()
    assert submitted.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["state"], job["request"], job["result"], job["owner"]) == ("queued", REQUEST, None, "anonymous")

    shown = await site.http.get(submitted.headers["location"])
    assert (shown.status_code, shown.json()) == (200, job)
    assert [entry["id"] for entry in await jobs(site)] == [job["id"]]
    stats = (await site.http.get("/v1/stats")).json()
    assert stats["queue"] == {"ready": 1, "in_flight": 0}
    assert stats["release"] == "dev"
    assert stats["jobs"] == {"dev": {"queued": 1}}


async def test_a_small_result_comes_with_its_job(site: Site) -> None:
    job_id = await site.submit()
    assert (await site.http.get(f"/v1/jobs/{job_id}/result")).status_code == 404
    await site.succeed(job_id, b'{"counts":{"swarm":1},"texts":{}}')
    job = (await site.http.get(f"/v1/jobs/{job_id}")).json()
    assert job["result"] == {"counts": {"swarm": 1}, "texts": {}}
    assert (await site.http.get(job["links"]["result"])).content == b'{"counts":{"swarm":1},"texts":{}}'


async def test_a_large_result_has_a_link_of_its_own(site: Site) -> None:
    result = json.dumps({"counts": {str(number): number for number in range(100_000)}, "texts": {}}).encode()
    assert len(result) > site.settings.inline_result_bytes
    job_id = await site.submit()
    await site.succeed(job_id, result)
    job = (await site.http.get(f"/v1/jobs/{job_id}")).json()
    assert (job["state"], job["result"]) == ("succeeded", None)
    got = await site.http.get(job["links"]["result"])
    assert (got.headers["content-type"], got.content) == ("application/json", result)


async def test_a_client_can_wait_for_the_result(site: Site) -> None:
    waiting = asyncio.create_task(
        site.http.post("/v1/jobs", json=REQUEST, headers={"prefer": "respond-async, wait=20", "idempotency-key": "k"})
    )
    while not (found := await jobs(site)):
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
    assert len(await jobs(site)) == 1


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
    assert len(await jobs(site)) == 1
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
    assert len(await jobs(site)) == 1


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


@pytest.mark.parametrize("kind", ["application/json", "application/cloudevents+json"])
async def test_json_that_readers_see_differently_is_refused(site: Site, kind: str) -> None:
    for body in AMBIGUOUS:
        answer = await site.http.post("/v1/jobs", content=body, headers={"content-type": kind})
        assert answer.status_code == 400, (body, answer.text)
        assert answer.json()["type"] == "urn:problem-type:essaim:malformed", body
    assert await jobs(site) == []


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


async def test_jobs_are_listed_newest_first_and_by_page(site: Site) -> None:
    ids = [await site.submit() for _ in range(5)]
    await site.succeed(ids[0])
    found: list[str] = []
    url: str | None = "/v1/jobs?limit=2"
    while url:
        page = await site.http.get(url)
        found += [job["id"] for job in page.json()["jobs"]]
        url = page.links.get("next", {}).get("url")
    assert found == ids[::-1]
    ended = await site.http.get("/v1/jobs", params={"state": ["succeeded", "failed"], "release": "dev"})
    assert [job["id"] for job in ended.json()["jobs"]] == ids[:1]
    assert (await site.http.get("/v1/jobs", params={"release": "other"})).json()["jobs"] == []


@pytest.mark.parametrize("query", ["cursor=x", "cursor=%00", "limit=0", "limit=x", "state=lost", "release=%00"])
async def test_a_listing_that_makes_no_sense_is_refused(site: Site, query: str) -> None:
    assert (await site.http.get(f"/v1/jobs?{query}")).status_code == 422


async def test_tasks_are_listed_by_page(site: Site) -> None:
    job_id = await site.submit()
    await site.claim(job_id)
    await site.backends.store.plan(job_id, 1, [b"{}"] * 5)
    found: list[int] = []
    url: str | None = f"/v1/jobs/{job_id}/tasks?limit=2"
    while url:
        page = await site.http.get(url)
        found += [task["number"] for task in page.json()["tasks"]]
        url = page.links.get("next", {}).get("url")
    assert found == [0, 1, 2, 3, 4]
    running = await site.http.get(f"/v1/jobs/{job_id}/tasks?state=running")
    assert [(task["number"], task["worker"]) for task in running.json()["tasks"]] == [(0, "tester")]


async def test_cancelling_twice_is_cancelling_once(site: Site) -> None:
    job_id = await site.submit()
    first, again = [await site.http.delete(f"/v1/jobs/{job_id}") for _ in range(2)]
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert again.json() == first.json()


async def test_a_failed_job_can_be_tried_again(site: Site) -> None:
    job_id = await site.submit()
    claimed = await site.claim(job_id)
    await site.backends.store.finish(claimed.claim, Problem("broken", "it broke"))
    failed = (await site.http.get(f"/v1/jobs/{job_id}")).json()
    assert (failed["state"], failed["problem"]) == ("failed", {"type": "broken", "detail": "it broke"})
    retried = await site.http.post(f"/v1/jobs/{job_id}/retry")
    assert (retried.status_code, retried.json()["state"], retried.json()["run"]) == (202, "queued", 2)


async def test_only_a_failed_job_can_be_tried_again(site: Site) -> None:
    job_id = await site.submit()
    assert (await site.http.post(f"/v1/jobs/{job_id}/retry")).status_code == 409


@pytest.mark.parametrize(
    ("method", "tail"),
    [("GET", ""), ("DELETE", ""), ("GET", "/result"), ("GET", "/tasks"), ("GET", "/events"), ("POST", "/retry")],
)
async def test_a_job_that_is_not_there_is_not_found(site: Site, method: str, tail: str) -> None:
    spellings = [NOBODY, NOBODY.replace("-", ""), f"{{{NOBODY}}}", f"urn:uuid:{NOBODY}"]
    for job_id in [*spellings, "1", "x" * 4000, "%C3%A9", "..%2f"]:
        answer = await site.http.request(method, f"/v1/jobs/{job_id}{tail}")
        assert answer.status_code == 404, job_id
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_job_id_may_be_written_in_capitals(site: Site) -> None:
    job_id = await site.submit()
    assert (await site.http.get(f"/v1/jobs/{job_id.upper()}")).json()["id"] == job_id


async def test_a_full_queue_says_when_to_come_back(serving: Serving) -> None:
    async with serving(max_queue_length=1) as site:
        await site.submit()
        refused = await site.http.post("/v1/jobs", json=REQUEST)
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:problem-type:essaim:queue-full"
        assert int(refused.headers["retry-after"]) > 0
        assert len(await jobs(site)) == 1


async def test_dead_letters_are_listed_and_replayed(site: Site) -> None:
    await site.submit()
    async with site.backends.queue.deliveries(1) as deliveries:
        await (await anext(deliveries)).park("it is cursed")
    [letter] = (await site.http.get("/v1/dead-letters")).json()["dead_letters"]
    assert letter["reason"] == "it is cursed"
    assert letter["event"]["type"] == "essaim.job.submitted"

    none = await site.http.post("/v1/dead-letters/replay", json={"ids": []})
    assert none.json() == {"replayed": 0}
    one = await site.http.post("/v1/dead-letters/replay", json={"ids": [letter["id"]]})
    assert one.json() == {"replayed": 1}
    assert (await site.http.get("/v1/dead-letters")).json()["dead_letters"] == []


async def test_all_dead_letters_are_replayed_without_a_body(site: Site) -> None:
    await site.submit()
    async with site.backends.queue.deliveries(1) as deliveries:
        await (await anext(deliveries)).park("it is cursed")
    assert (await site.http.post("/v1/dead-letters/replay")).json() == {"replayed": 1}


@pytest.mark.parametrize(("body", "status"), [(b'{"id": ["1"]}', 422), (b'{"ids": "1"}', 422), (b"{", 400)])
async def test_a_replay_that_makes_no_sense_is_refused(site: Site, body: bytes, status: int) -> None:
    assert (await site.http.post("/v1/dead-letters/replay", content=body, headers=JSON)).status_code == status


async def test_workers_are_shown(site: Site) -> None:
    now = datetime.now(UTC)
    await site.backends.store.report(Worker("w-1", "dev", now, now, 2, ("job/0",)))
    [worker] = (await site.http.get("/v1/workers")).json()["workers"]
    assert (worker["id"], worker["concurrency"], worker["tasks"]) == ("w-1", 2, ["job/0"])
    assert (await site.http.get("/v1/stats")).json()["workers"] == 1


async def test_head_answers_as_get_without_the_body(site: Site) -> None:
    job_id = await site.submit()
    for path in ("/v1/jobs", f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/tasks", "/v1/stats", "/v1/texts", "/livez"):
        got = await site.http.head(path)
        assert (got.status_code, got.content) == (200, b""), path


async def test_an_ended_job_stays_as_it_is(site: Site) -> None:
    job_id = await site.submit()
    await site.succeed(job_id)
    assert (await site.http.delete(f"/v1/jobs/{job_id}")).json()["state"] == State.SUCCEEDED


def _base64(data: object) -> str:
    return base64.b64encode(json.dumps(data).encode()).decode()
