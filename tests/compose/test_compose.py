"""What the README says of `docker compose up`, with containers that run, die and come again."""

import time
from typing import Any

import httpx

from tests.compose.conftest import Project

TEXT = "A swarm of bees hums; a bee by itself makes no sound.\n" * 2000
SEARCH = {"texts": ["lake.txt"], "words": ["bee", "swarm"]}


def submit(http: httpx.Client, **more: Any) -> str:
    answer = http.post("/v1/jobs", json={**SEARCH, **more})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ended(http: httpx.Client, job: str, seconds: float = 180) -> dict[str, Any]:
    """The job, once it has; a server that is restarting is asked again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            answer = http.get(f"/v1/jobs/{job}")
        except httpx.TransportError:
            continue
        if answer.is_success and answer.json()["state"] in {"succeeded", "failed", "cancelled"}:
            return dict(answer.json())
        time.sleep(0.2)  # between two looks
    raise AssertionError(f"job {job} has not ended")


def until_running(http: httpx.Client, job: str) -> str:
    """The worker that has its only task."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        (task,) = http.get(f"/v1/jobs/{job}/tasks").json()["tasks"]
        if task["state"] == "running":
            return str(task["worker"])
        time.sleep(0.1)  # between two looks
    raise AssertionError(f"job {job} does not run")


def test_a_search_goes_through_all_of_it(project: Project) -> None:
    with project.http() as http:
        assert http.put("/v1/texts/lake.txt", content=TEXT.encode()).is_success
        job = ended(http, submit(http))
        counts = http.get(f"/v1/jobs/{job['id']}/result").json()["counts"]
        assert (job["state"], counts) == ("succeeded", {"bee": 2000, "swarm": 2000})
        assert http.get("/v1/stats").json()["workers"] == 2


def test_nobody_comes_in_without_the_token(project: Project) -> None:
    assert httpx.get(f"{project.url}/v1/jobs", trust_env=False).status_code == 401


def test_a_worker_that_is_killed_leaves_its_job_to_another(project: Project) -> None:
    with project.http() as http:
        job = submit(http, pause_seconds=3)
        until_running(http, job)
        project("kill", "--signal=KILL", "worker")
        project.up()
        assert ended(http, job)["state"] == "succeeded"
        (task,) = http.get(f"/v1/jobs/{job}/tasks").json()["tasks"]
        assert task["attempts"] == 2


def test_jobs_outlive_the_servers_containers(project: Project) -> None:
    with project.http() as http:
        project("stop", "worker")
        jobs = [submit(http, pause_seconds=0.1) for _ in range(20)]
        project("restart", "rabbitmq", "mongodb", "s3")
        project.up()
        assert {ended(http, job)["state"] for job in jobs} == {"succeeded"}


def test_taken_down_and_brought_up_it_knows_what_it_knew(project: Project) -> None:
    with project.http() as http:
        before = submit(http)
        assert ended(http, before)["state"] == "succeeded"
    project("down")
    project.up()
    with project.http() as http:
        assert http.get(f"/v1/jobs/{before}").json()["state"] == "succeeded"
        assert http.get("/v1/texts/lake.txt").text == TEXT
        assert ended(http, submit(http))["state"] == "succeeded"
