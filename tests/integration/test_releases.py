"""Two releases on one store, each with a queue of its own: what becomes of jobs that go from one to the other.

The second release has another request, other tasks and other results, and fails at negative numbers.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from essaim.jobs.backends import Backends
from essaim.jobs.model import Depth
from tests.conftest import BuildHouse, House, eventually
from tests.servers import RABBITMQ_URL, S3, delete_queues, services

EMPTY = Depth(ready=0, in_flight=0)


@dataclass(frozen=True)
class Release:
    """One of the two: its house, and a client of its API."""

    name: str
    house: House
    http: httpx.AsyncClient
    backends: Backends
    folder: Path

    async def submit(self, *numbers: int, **more: object) -> str:
        request = {"journal": str(self.folder / "journal"), "numbers": numbers, **more}
        answer = await self.http.post("/v1/jobs", json=request)
        assert answer.status_code == 202, answer.text
        assert answer.json()["release"] == self.name
        return str(answer.json()["id"])

    async def job(self, job_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def in_state(self, job_id: str, state: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            found = await self.job(job_id)
            return found if found["state"] == state else None

        return dict(await eventually(look))

    async def idle(self) -> None:
        """Wait until its queue is empty."""

        async def look() -> bool:
            return await self.backends.queue.depth() == EMPTY

        await eventually(look)

    def journal(self) -> list[str]:
        path = self.folder / "journal"
        return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.fixture(params=["embedded", "services"])
async def releases(
    request: pytest.FixtureRequest,
    build_house: BuildHouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[Release, Release]]:
    """Their APIs run; workers do not, yet."""
    async with AsyncExitStack() as stack:
        shared: dict[str, object] = {"data_dir": tmp_path / "shared"}
        if request.param == "services":
            for name, value in S3.items():
                monkeypatch.setenv(name, value)
            shared |= await stack.enter_async_context(services())
        prefix = str(shared.pop("release", "test"))

        @asynccontextmanager
        async def opened(name: str) -> AsyncIterator[Release]:
            release = f"{prefix}.{name}"
            settings = {**shared, "api_port": 0, "max_attempts": 1, "release": release}
            house = build_house(f"{name}_release", **settings)
            house.environment.update(S3)
            house.start("api")
            found = await eventually(lambda: re.search(r"api\.listening address=(\S+)", house.logs()))
            async with house.backends() as backends, httpx.AsyncClient(base_url=found[1], timeout=60) as http:
                yield Release(release, house, http, backends, tmp_path)
            house.kill_all()
            if request.param == "services":
                await delete_queues(RABBITMQ_URL, release)

        first = await stack.enter_async_context(opened("first"))
        yield first, await stack.enter_async_context(opened("second"))


async def test_a_job_that_failed_in_one_release_is_retried_to_success_in_the_other(
    releases: tuple[Release, Release],
) -> None:
    """Though neither can read the other's tasks and results: it starts anew."""
    first, second = releases
    second.house.start()
    for numbers in ([-1], [5, -5, 7, 8]):
        job_id = await second.submit(*numbers)
        failed = await second.in_state(job_id, "failed")
        assert "no negative numbers" in failed["problem"]["detail"]

    await second.idle()
    retried = await first.http.post(f"/v1/jobs/{job_id}/retry")
    assert (retried.status_code, retried.json()["state"], retried.json()["run"]) == (202, "queued", 2)
    assert (retried.json()["release"], retried.json()["tasks"]) == (first.name, None)
    assert (await second.backends.queue.depth()).ready == 0
    first.house.start()
    done = await second.in_state(job_id, "succeeded")
    assert (done["release"], done["result"]) == (first.name, {"by": "first", "total": 15})
    assert sorted(line for line in first.journal() if line.startswith("first")) == [f"first {n}" for n in (-5, 5, 7, 8)]


async def test_a_job_can_be_taken_from_a_release_that_has_no_workers(releases: tuple[Release, Release]) -> None:
    """And when they come after all, its message does nothing."""
    first, second = releases
    job_ids = [await second.submit(1, 2), await second.submit(3)]
    first.house.start()
    for job_id in job_ids:
        refused = await first.http.post(f"/v1/jobs/{job_id}/retry")
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:problem-type:essaim:job-not-retryable")
        assert (await first.http.post(f"/v1/jobs/{job_id}/retry?from=another")).status_code == 409
        taken = await first.http.post(f"/v1/jobs/{job_id}/retry", params={"from": second.name})
        assert (taken.status_code, taken.json()["release"], taken.json()["run"]) == (202, first.name, 2)
    totals = [(await first.in_state(job_id, "succeeded"))["result"]["total"] for job_id in job_ids]
    assert totals == [3, 3]
    assert (await second.backends.queue.depth()).ready == 2
    second.house.start()
    await second.idle()
    await eventually(lambda: "message.obsolete" in second.house.logs())
    assert sorted(second.journal()) == ["first 1", "first 2", "first 3"]
    assert (await second.job(job_ids[0]))["run"] == 2


async def test_a_job_can_be_taken_from_workers_that_are_at_it(releases: tuple[Release, Release]) -> None:
    """Their attempts hear of it at their next beat, and change nothing."""
    first, second = releases
    second.house.start()
    job_id = await second.submit(4, 6, seconds=600)
    await eventually(lambda: second.journal() != [])
    taken = await first.http.post(f"/v1/jobs/{job_id}/retry", params={"from": second.name})
    assert taken.status_code == 202
    again = await first.http.post(f"/v1/jobs/{job_id}/retry", params={"from": second.name})
    assert again.status_code == 409
    await second.idle()
    await eventually(lambda: "task.stopped" in second.house.logs())
    found = await second.job(job_id)
    assert (found["state"], found["release"], found["run"]) == ("queued", first.name, 2)
    first.house.start()
    await first.in_state(job_id, "running")
    assert (await second.http.delete(f"/v1/jobs/{job_id}")).json()["state"] == "cancelled"  # whoever is asked
    await first.idle()


async def test_whatever_release_answers_every_job_is_shown(releases: tuple[Release, Release]) -> None:
    """What the first release cannot read of the second one's jobs it passes on."""
    first, second = releases
    second.house.start()
    job_id = await second.submit(1, 2, unit="bees")
    done = await second.in_state(job_id, "succeeded")
    assert done["result"] == {"by": "second", "sum": 3, "unit": "bees"}
    for tail in ("", "/result", "/tasks", "/events"):
        answers = [await release.http.get(f"/v1/jobs/{job_id}{tail}") for release in releases]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].text == answers[1].text
    for release in releases:
        (listed,) = (await release.http.get("/v1/jobs")).json()["jobs"]
        assert (listed["id"], listed["release"]) == (job_id, second.name)
        assert (await release.http.get("/v1/stats")).json()["jobs"] == {second.name: {"succeeded": 1}}
    followed = await first.http.get(f"/v1/jobs/{job_id}/events")
    assert "event: end" in followed.text


async def test_a_request_that_the_release_cannot_read_fails_there_and_says_why(
    releases: tuple[Release, Release],
) -> None:
    first, second = releases
    job_id = await second.submit(1, unit="bees")
    first.house.start()
    await first.http.post(f"/v1/jobs/{job_id}/retry", params={"from": second.name})
    failed = await first.in_state(job_id, "failed")
    assert failed["problem"]["type"] == "job-error"
    assert "does not understand the request" in failed["problem"]["detail"]
    assert failed["request"]["unit"] == "bees"
    second.house.start()
    assert (await second.http.post(f"/v1/jobs/{job_id}/retry")).status_code == 202
    done = await first.in_state(job_id, "succeeded")
    assert (done["run"], done["release"], done["result"]["by"]) == (3, second.name, "second")
