"""Jobs over HTTP: shown with their results and tasks, listed, cancelled, tried again."""

import json
from datetime import UTC, datetime

import pytest

from essaim.jobs.model import Problem, State, Worker
from tests.integration.conftest import Site

NOBODY = "00000000-0000-4000-8000-000000000000"


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
