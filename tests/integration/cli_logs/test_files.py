"""`essaim logs` from the files of this machine: one story of a job, whoever wrote its lines."""

import json
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloudevents.core.v1.event import CloudEvent

from essaim.cli.logs.folder import LogFolder
from essaim.jobs.backends import open_backends
from essaim.jobs.ports import JobQueue
from essaim.jobs.service import JobService
from essaim.jobs.settings import load_settings
from essaim.telemetry import complete, log, logger
from essaim.telemetry.log_files import LogFiles
from essaim_words.payload import Request
from tests.integration.cli_logs.story import NOBODY, told
from tests.integration.essaim_command import essaim, house, running, wait_until
from tests.integration.submissions import REQUEST

LATEST = "ffffffff-ffff-7fff-bfff-ffffffffffff"  # its time is in no calendar


def submit(url: str, **request: object) -> str:
    """The id of a new job, once it runs."""
    job = essaim("submit", json.dumps({**REQUEST, **request}), ESSAIM_SERVER=url).out.strip()
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
        ("job.merging", ""),
        ("job.succeeded", ""),
    ]
    assert story[2][2].startswith(worker)
    assert "exit=-9" in story[2][2]
    assert "attempt 1, claimed " in story[3][2]
    assert re.search(r"after 3\.\d s", story[4][2])
    assert re.fullmatch(
        r"succeeded after .+ s; 1 task, 2 attempts, 1 of them lost, on [12] workers?", whole.out.splitlines()[-1]
    )
    assert out == whole.out


class QuickWorker:
    """A queue whose message has been claimed before whoever publishes it hears that it is there."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.notify = queue.notify

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        await self._queue.publish(events)
        log("task.claimed", task=0, attempt=1)


async def test_a_story_begins_with_the_submission_however_quick_the_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "essaim")
    settings = load_settings(data_dir=tmp_path)
    handler = LogFiles(tmp_path / "logs", {}, 60.0)
    handler.addFilter(complete)
    async with open_backends(settings) as backends:
        quick = replace(backends, queue=QuickWorker(backends.queue))  # type: ignore[arg-type]  # all that a submission needs
        logger.addHandler(handler)
        try:
            job, _ = await JobService(quick, settings).submit(Request(**REQUEST), "ann")
        finally:
            logger.removeHandler(handler)
            handler.close()
    lines = await LogFolder(tmp_path / "logs", job.id, None).news()
    assert [line.event for line in lines] == ["job.submitted", "task.claimed"]
    assert lines[0].at == job.created


def test_each_line_is_an_object_for_programs(tmp_path: Path) -> None:
    with house(tmp_path) as (_, url):
        job = submit(url)
        essaim("watch", job, ESSAIM_SERVER=url)
        lines = [json.loads(line) for line in essaim("logs", job, "--json", "--data", str(tmp_path)).out.splitlines()]
    assert [line["event"] for line in lines] == [
        "job.submitted",
        "task.claimed",
        "task.finished",
        "job.merging",
        "job.succeeded",
    ]
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
        (["riddle"], "not a job id: 'riddle'"),
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
    assert f"no log lines of job {NOBODY}" in said.err
    assert "they begin on 2026-01-31" in said.err


def test_the_days_of_the_files_are_by_utc_whatever_the_zone_of_the_time_asked_for(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    line = {"time": "2026-01-30T22:45:00+00:00", "event": "job.submitted", "job": NOBODY, "api": "a1"}
    (tmp_path / "logs" / "2026-01-30.jsonl").write_text(json.dumps(line) + "\n")
    said = essaim("logs", NOBODY, "--since", "2026-01-31T00:30:00+02:00", "--data", str(tmp_path))
    assert [event for event, *_ in told(said)] == ["job.submitted"]
