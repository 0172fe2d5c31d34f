"""`essaim logs`: one story of a job, whoever wrote its lines, from the files of this machine or from Loki."""

import json
import os
import re
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import httpx
import pytest

from tests.conftest import House
from tests.integration.essaim_command import Said, essaim, house, running, wait_until
from tests.integration.loki_server import LOKI_URL, LokiServer, loki_server

Eventually = Callable[..., Awaitable[Any]]
SWARM = {"text": "a swarm of bees", "words": ["swarm"]}
NOBODY = "0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10"
LATEST = "ffffffff-ffff-7fff-bfff-ffffffffffff"  # its time is in no calendar
ROW = re.compile(r"(\S+ \S+) +(\d+\.\d\d)s  (\S+) +(?:(\d+)/(\d+) +)?(.*)")


def told(said: Said) -> list[tuple[str, str, str]]:
    """Event, task/attempt and the rest of each line of the story."""
    assert said.code == 0, said.err
    found = [ROW.fullmatch(line.rstrip()) for line in said.out.splitlines()[1:-1]]
    return [(row[3], f"{row[4]}/{row[5]}" if row[4] else "", row[6]) for row in found if row]


def submit(url: str, **request: object) -> str:
    """The id of a new job, once it runs."""
    job = essaim("submit", json.dumps({**SWARM, **request}), ESSAIM_SERVER=url).out.strip()
    wait_until(lambda: job_of(url, job)["state"] != "queued", "a claimed job")
    return job


def job_of(url: str, job: str) -> Any:
    return httpx.get(f"{url}/v1/jobs/{job}", trust_env=False).json()


def worker_of(url: str, job: str) -> str:
    """Who has its only task."""

    def tasks() -> Any:
        return httpx.get(f"{url}/v1/jobs/{job}/tasks", trust_env=False).json()["tasks"]

    wait_until(lambda: tasks() and tasks()[0]["worker"], "a worker that has it")
    return str(tasks()[0]["worker"])


def kill(folder: Path, worker: str) -> None:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        here = any(it.startswith(f"ESSAIM_DATA_DIR={folder}".encode()) for it in variables)
        if here and f"ESSAIM_WORKER_ID={worker}".encode() in variables:
            os.kill(int(entry.name), signal.SIGKILL)


def test_a_job_whose_worker_was_killed_is_one_story(tmp_path: Path) -> None:
    with house(tmp_path) as (_, url):
        job = submit(url, pause_seconds=3)
        worker = worker_of(url, job)
        kill(tmp_path, worker)
        with running("logs", job, "--follow", "--data", str(tmp_path)) as following:
            out, err = following.communicate(timeout=120)
        assert following.returncode == 0, err
        whole = essaim("logs", job, "--data", str(tmp_path))
    story = told(whole)
    assert [(event, attempt) for event, attempt, _ in story] == [
        ("job.submitted", ""),
        ("task.claimed", "0/1"),
        ("worker.crashed", "0/1"),
        ("task.claimed", "0/2"),
        ("task.finished", "0/2"),
        ("job.succeeded", "0/2"),
    ]
    assert story[2][2].startswith(worker)
    assert "exit=-9" in story[2][2]
    assert "attempt 1, claimed " in story[3][2]
    assert re.search(r"after 3\.\d s", story[4][2])
    assert re.fullmatch(
        r"succeeded after .+ s; 1 task, 2 attempts, 1 of them lost, on [12] workers?", whole.out.splitlines()[-1]
    )
    assert out == whole.out


def test_each_line_is_an_object_for_programs(tmp_path: Path) -> None:
    with house(tmp_path) as (_, url):
        job = submit(url)
        essaim("watch", job, ESSAIM_SERVER=url)
        lines = [json.loads(line) for line in essaim("logs", job, "--json", "--data", str(tmp_path)).out.splitlines()]
    assert [line["event"] for line in lines] == ["job.submitted", "task.claimed", "task.finished", "job.succeeded"]
    assert {line["job"] for line in lines} == {job}
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert {line["release"] for line in lines} == {"dev"}
    assert lines[0]["api"]
    assert lines[1]["worker"]
    assert (lines[1]["task"], lines[1]["attempt"]) == (0, 1)


def test_a_failed_job_says_why_and_retried_goes_on(tmp_path: Path) -> None:
    with house(tmp_path) as (_, url):
        job = essaim("submit", '{"texts": ["absent.txt"], "words": ["a"]}', ESSAIM_SERVER=url).out.strip()
        essaim("watch", job, ESSAIM_SERVER=url)
        wait_until(lambda: "worker.draining" in (tmp_path / "logs" / "workers.log").read_text(), "the worker leaves")
        failed = essaim("logs", job, "--data", str(tmp_path))
        essaim("retry", job, ESSAIM_SERVER=url)
        wait_until(lambda: job_of(url, job)["state"] == "failed", "the second end")
        again = essaim("logs", job, "-f", "--data", str(tmp_path))
    assert "absent.txt" in told(failed)[-1][2]
    assert told(failed)[-1][:2] == ("job.failed", "0/1")  # and not how its worker left, long after
    assert failed.out.splitlines()[-1].startswith("failed after ")
    assert [event for event, *_ in told(again)].count("job.failed") == 2
    assert "job.retried" in [event for event, *_ in told(again)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["riddle"], "no job has this id: 'riddle'"),
        ([NOBODY, "--since", "noon"], "--since noon: write 30m"),
        ([NOBODY, "--since", "9999999d"], "--since 9999999d: write 30m"),
        ([NOBODY, "--since", "0001-01-01T00:00:00+02:00"], "write 30m"),
        ([NOBODY], "no log lines in "),
        ([LATEST, "--loki", "http://127.0.0.1:9"], "nothing answers at http://127.0.0.1:9"),
        ([NOBODY, "--loki", "http://127.0.0.1:9"], "nothing answers at http://127.0.0.1:9 (no connection): is Loki"),
        ([NOBODY, "--loki", "ftp://here"], "write --loki http://host:port"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    said = essaim("logs", *arguments, ESSAIM_DATA_DIR=str(tmp_path))
    assert said.code == 2
    assert said.err.startswith("essaim: ")
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_job_that_no_line_is_about_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "2026-01-31.jsonl").write_text(
        '{"time": "2026-01-31T12:00:00+00:00", "event": "x", "job": "y"}\n'
    )
    said = essaim("logs", NOBODY, "--data", str(tmp_path))
    assert said.code == 2
    assert f"nothing is known of job {NOBODY}" in said.err
    assert "they begin on 2026-01-31" in said.err


def test_the_days_of_the_files_are_by_utc_whatever_the_zone_of_the_time_asked_for(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    line = {"time": "2026-01-30T22:45:00+00:00", "event": "job.submitted", "job": NOBODY, "api": "a1"}
    (tmp_path / "logs" / "2026-01-30.jsonl").write_text(json.dumps(line) + "\n")
    said = essaim("logs", NOBODY, "--since", "2026-01-31T00:30:00+02:00", "--data", str(tmp_path))
    assert [event for event, *_ in told(said)] == ["job.submitted"]


@pytest.fixture
def loki() -> Iterator[tuple[str, LokiServer]]:
    with loki_server() as found:
        yield found


async def worked(build_house: Callable[..., House], eventually: Eventually, url: str, **request: object) -> str:
    """A job that processes have done which send their logs there."""
    house = build_house(None, release="v1", api_port=0)
    logs = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{url}/otlp/v1/logs", "OTEL_BLRP_SCHEDULE_DELAY": "100"}
    house.environment.update(logs)
    house.start("api")
    house.start()
    found = await eventually(lambda: re.search(r"api\.listening address=(\S+)", house.logs()))
    async with httpx.AsyncClient(base_url=found[1], trust_env=False, timeout=60) as http:
        answer = await http.post("/v1/jobs", json={**SWARM, **request}, headers={"prefer": "wait=50"})
    assert answer.json()["state"] == "succeeded", answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize("categorized", [False, True], ids=["metadata among the labels", "metadata apart"])
async def test_loki_tells_the_same_story(
    build_house: Callable[..., House], eventually: Eventually, loki: tuple[str, LokiServer], categorized: bool
) -> None:
    url, server = loki
    server.categorized = categorized
    job = await worked(build_house, eventually, url, text="a swarm " * 20_000, piece_bytes=65_536)
    await eventually(lambda: server.collected.events("job.succeeded"))
    said = essaim("logs", job, "--loki", url)
    story = told(said)
    assert [event for event, *_ in story[:2]] == ["job.submitted", "task.claimed"]
    assert story[-1][0] == "job.succeeded"
    finished = [attempt for event, attempt, _ in story if event == "task.finished"]
    assert sorted(attempt.split("/")[0] for attempt in finished) == ["0", "1", "2"]
    assert re.fullmatch(r"succeeded after .+ s; 3 tasks, 4 attempts, on 1 worker", said.out.splitlines()[-1])
    started = UUID(job).int >> 80
    assert all(started - 61_000 <= int(asked["start"]) / 1e6 <= started for asked in server.asked)


async def test_a_real_loki_tells_the_same_story(build_house: Callable[..., House], eventually: Eventually) -> None:
    if not LOKI_URL:
        pytest.skip("ESSAIM_TEST_LOKI_URL names no Loki")
    job = await worked(build_house, eventually, LOKI_URL)
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
    assert said.out.splitlines()[-1] == "not ended yet; 1 task, 3 attempts, 1 of them lost, on 1 worker"


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
