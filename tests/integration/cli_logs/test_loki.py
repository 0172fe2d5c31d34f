"""`essaim logs` from Loki: the same story, whatever Loki makes of its lines."""

import json
import re
from collections.abc import Iterator
from uuid import UUID, uuid5

import httpx
import pytest

from tests.conftest import BuildHouse, eventually
from tests.integration.cli_logs.story import NOBODY, told
from tests.integration.essaim_command import essaim
from tests.integration.loki_server import LOKI_URL, LokiServer, loki_server
from tests.integration.submissions import REQUEST


@pytest.fixture
def loki() -> Iterator[tuple[str, LokiServer]]:
    with loki_server() as found:
        yield found


async def worked(build_house: BuildHouse, url: str, **request: object) -> str:
    """A job that processes have done which send their logs there."""
    house = build_house(None, release="v1", api_port=0)
    logs = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{url}/otlp/v1/logs", "OTEL_BLRP_SCHEDULE_DELAY": "100"}
    house.environment.update(logs)
    house.start("api")
    house.start()
    found = await eventually(lambda: re.search(r"api\.listening address=(\S+)", house.logs()))
    async with httpx.AsyncClient(base_url=found[1], trust_env=False, timeout=60) as http:
        answer = await http.post("/v1/jobs", json={**REQUEST, **request}, headers={"prefer": "wait=50"})
    assert answer.json()["state"] == "succeeded", answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize("categorized", [False, True], ids=["metadata among the labels", "metadata apart"])
async def test_loki_tells_the_same_story(
    build_house: BuildHouse, loki: tuple[str, LokiServer], categorized: bool
) -> None:
    url, server = loki
    server.categorized = categorized
    job = await worked(build_house, url, text="a swarm " * 20_000, piece_bytes=65_536)
    await eventually(lambda: server.collected.events("job.succeeded"))
    said = essaim("logs", job, "--loki", url)
    story = told(said)
    assert [event for event, *_ in story[:2]] == ["job.submitted", "task.claimed"]
    assert story[-1][0] == "job.succeeded"
    finished = [attempt for event, attempt, _ in story if event == "task.finished"]
    assert sorted(attempt.split("/")[0] for attempt in finished) == ["0", "1", "2"]
    assert re.fullmatch(r"succeeded after .+ s; 3 tasks, 3 attempts, on 1 worker", said.out.splitlines()[-1])
    started = UUID(job).int >> 80
    assert all(started - 61_000 <= int(asked["start"]) / 1e6 <= started for asked in server.asked)


async def test_a_real_loki_tells_the_same_story(build_house: BuildHouse) -> None:
    if not LOKI_URL:
        pytest.skip("ESSAIM_TEST_LOKI_URL names no Loki")
    job = await worked(build_house, LOKI_URL)
    said = essaim("logs", job, "--follow", "--loki", LOKI_URL)
    assert [event for event, *_ in told(said)] == ["job.submitted", "task.claimed", "task.finished", "job.succeeded"]


def record(server: LokiServer, job: str, at: int, event: str, **attributes: object) -> None:
    about = {"job": job, "event": event, "worker": "w1", **attributes}
    one = {"time": at, "severity": "INFO", "body": event, "trace": "", "attributes": about}
    server.collected.logs.append({**one, "resource": {"service.namespace": "essaim"}})


def test_more_lines_than_a_page_has_all_come_once_and_in_order(loki: tuple[str, LokiServer]) -> None:
    url, server = loki
    start = (UUID(NOBODY).int >> 80) * 1_000_000
    for number in range(2500):  # 1,500 of them in one moment
        at = start + (number if number < 500 else 500 if number < 2000 else number)
        record(server, NOBODY, at, "task.finished", task=number, attempt=1)
    lines = [json.loads(line) for line in essaim("logs", NOBODY, "--json", "--loki", url).out.splitlines()]
    assert len(server.asked) > 2
    tasks = [line["task"] for line in lines]
    assert len(tasks) == len(set(tasks)) >= 1000 + 500
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert set(range(500)) | set(range(2000, 2500)) <= set(tasks)


def test_what_befell_the_workers_of_the_job_is_told_from_loki_too(loki: tuple[str, LokiServer]) -> None:
    url, server = loki
    start = (UUID(NOBODY).int >> 80) * 1_000_000
    record(server, NOBODY, start, "task.claimed", task=0, attempt=1)
    record(server, NOBODY, start + 2_000_000_000, "task.stopped", task=0, attempt=1, reason="draining")
    other = {"time": start + 1_000_000_000, "severity": "INFO", "body": "", "trace": ""}
    for worker in ("w1", "w2"):
        attributes = {"event": "worker.draining", "worker": worker, "running": 1}
        server.collected.logs.append({**other, "attributes": attributes, "resource": {"service.namespace": "essaim"}})
    said = essaim("logs", NOBODY, "--loki", url)
    assert told(said) == [
        ("task.claimed", "0/1", "w1"),
        ("worker.draining", "0/1", "w1                running=1"),
        ("task.stopped", "0/1", "w1                after 2.0 s  reason=draining"),
    ]
    assert said.out.splitlines()[-1] == "not ended yet; 1 task, 1 attempt, on 1 worker"


def test_attempts_of_a_job_that_was_split_again_all_count(loki: tuple[str, LokiServer]) -> None:
    url, server = loki
    start = (UUID(NOBODY).int >> 80) * 1_000_000
    for second, (event, task, attempt) in enumerate(
        [
            *[("task.claimed", 0, 1), ("job.announced", 0, 1), ("task.claimed", 0, 2), ("task.rejected", 0, 2)],
            *[("task.claimed", 0, 3), ("task.rejected", 0, 3), ("job.split_again", 0, 3)],
            *[("task.claimed", 0, 1), ("job.announced", 0, 1), ("task.claimed", 0, 2), ("task.claimed", 1, 1)],
        ]
    ):
        record(server, NOBODY, start + second * 1_000_000_000, event, task=task, attempt=attempt)
    said = essaim("logs", NOBODY, "--loki", url)
    assert said.out.splitlines()[-1] == "not ended yet; 2 tasks, 4 attempts, on 1 worker"


@pytest.mark.parametrize("late", [False, True], ids=["in order", "said late"])
def test_an_attempt_that_has_split_the_job_is_not_lost(loki: tuple[str, LokiServer], late: bool) -> None:
    url, server = loki
    start = (UUID(NOBODY).int >> 80) * 1_000_000
    record(server, NOBODY, start, "task.claimed", task=0, attempt=1)
    record(server, NOBODY, start + (3_000_000 if late else 1_000_000), "job.announced", task=0, attempt=1, tasks=2)
    record(server, NOBODY, start + 2_000_000, "task.claimed", task=0, attempt=2)
    record(server, NOBODY, start + 2_000_000_000, "task.claimed", task=0, attempt=3)
    said = essaim("logs", NOBODY, "--loki", url)
    assert said.out.count("was lost") == 1
    assert told(said)[-1] == ("task.claimed", "0/3", "w1                attempt 2, claimed 2.0 s before, was lost")
    assert said.out.splitlines()[-1] == "not ended yet; 1 task, 2 attempts, 1 of them lost, on 1 worker"


def test_an_id_without_a_time_is_looked_for_as_long_as_jobs_are_kept(loki: tuple[str, LokiServer]) -> None:
    url, server = loki
    made_from_a_key = str(uuid5(UUID(NOBODY), "key"))
    said = essaim("logs", made_from_a_key, "--loki", url)
    assert said.code == 2
    assert "--since looks further back" in said.err
    (asked,) = server.asked
    assert int(asked["end"]) - int(asked["start"]) == pytest.approx(7 * 86400e9, rel=0.01)
    essaim("logs", made_from_a_key, "--since", "2h", "--loki", url)
    assert int(server.asked[1]["end"]) - int(server.asked[1]["start"]) == pytest.approx(7200e9, rel=0.05)


def test_a_loki_that_refuses_is_quoted(loki: tuple[str, LokiServer]) -> None:
    url, server = loki
    server.failing = 500
    said = essaim("logs", NOBODY, "--loki", url.replace("http://", "http://ann:s3cret@"))
    assert said.code == 2
    assert f"{url} answers 500" in said.err
    assert "syntax error" in said.err
    assert "s3cret" not in said.err
