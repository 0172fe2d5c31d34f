"""Log lines in files: an object a line, whoever writes; a file a day, and none that is older than jobs are."""

import json
import logging
import multiprocessing
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource

from essaim.telemetry.exporters import Signals
from essaim.telemetry.log_files import LogFiles, files
from essaim.telemetry.otlp import OtlpHandler
from tests.conftest import ROOT

WEEK = 7 * 86400.0
WHO = {"release": "v1", "worker": "w1"}


def record(event: str, at: datetime, name: str = "essaim", **fields: object) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, __file__, 1, event, None, None)
    made.created = at.timestamp()
    made.__dict__["fields"] = fields
    return made


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in files(folder) for line in path.read_text().splitlines()]


def test_a_line_has_all_that_was_said_and_who_said_it(tmp_path: Path) -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    handler = LogFiles(tmp_path, WHO, WEEK)
    handler.emit(record("task.claimed", noon, job="j", task=0, waited=0.5, reason=ValueError("no\nway")))
    handler.emit(record("careful", noon, name="pymongo"))
    handler.close()
    ours, theirs = lines(tmp_path)
    about = {"job": "j", "task": 0, "waited": 0.5, "reason": "no\nway"}
    assert ours == {
        "time": "2026-01-31T12:00:00.000000+00:00", "level": "INFO", "event": "task.claimed", **WHO, **about
    }  # fmt: skip
    assert (theirs["logger"], theirs["message"]) == ("pymongo", "careful")


def test_an_exception_is_in_its_line(tmp_path: Path) -> None:
    handler = LogFiles(tmp_path, WHO, WEEK)
    try:
        raise KeyError("honey")
    except KeyError as error:
        failed = record("task.failed", datetime.now(UTC))
        failed.exc_info = (KeyError, error, error.__traceback__)
        handler.emit(failed)
    handler.close()
    (line,) = lines(tmp_path)
    assert (line["exception_type"], line["exception_message"]) == ("KeyError", "'honey'")
    assert "test_log_files.py" in str(line["exception_stacktrace"])


def test_a_new_day_is_a_new_file_and_ends_what_is_too_old(tmp_path: Path) -> None:
    (tmp_path / "workers.log").write_text("for people")
    handler = LogFiles(tmp_path, WHO, 2 * 86400.0)
    for day in range(5):
        handler.emit(record("worker.started", datetime(2026, 1, 30, 23, 59, tzinfo=UTC) + timedelta(days=day)))
    handler.close()
    assert [path.name for path in files(tmp_path)] == ["2026-02-01.jsonl", "2026-02-02.jsonl", "2026-02-03.jsonl"]
    assert (tmp_path / "workers.log").exists()


def test_a_folder_that_takes_no_lines_is_said_once_and_stops_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "logs"
    folder.write_text("a file where the folder should be")
    handler = LogFiles(folder, WHO, WEEK)
    for _ in range(3):
        handler.emit(record("task.claimed", datetime.now(UTC)))
    said = capsys.readouterr().err
    assert said.startswith(f"no log lines go to {folder}: ")
    assert said.count("\n") == 1
    folder.unlink()
    handler.emit(record("task.finished", datetime.now(UTC)))
    handler.close()
    assert [line["event"] for line in lines(folder)] == ["task.finished"]


def test_a_line_whose_arguments_do_not_fit_stops_nobody(tmp_path: Path) -> None:
    wrong = record("%d messages", datetime.now(UTC), name="pymongo")
    wrong.args = ("many",)
    for handler in (LogFiles(tmp_path, WHO, WEEK), OtlpHandler(Signals(Resource({})), WHO)):
        handler.emit(wrong)
        handler.close()
    assert lines(tmp_path) == []


def write(folder: Path, worker: int) -> None:
    handler = LogFiles(folder, {"worker": worker}, WEEK)
    for number in range(300):
        handler.emit(record("task.claimed", datetime.now(UTC), number=number, reason="x" * 5000))
    handler.close()


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    spawning = multiprocessing.get_context("spawn")
    processes = [spawning.Process(target=write, args=(tmp_path, worker)) for worker in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted((line["worker"], line["number"]) for line in lines(tmp_path)) == [
        (worker, number) for worker in range(3) for number in range(300)
    ]


FULL = """
import logging, resource, signal, sys
from pathlib import Path
from essaim.telemetry.log_files import LogFiles

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
handler = LogFiles(Path(sys.argv[1]), {}, 60.0)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for event, most in (("first", hard), ("torn", 150), ("lost", 150), ("last", hard)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    handler.emit(logging.LogRecord("essaim", logging.INFO, "", 1, event, None, None))
"""


def test_a_line_of_which_only_a_part_could_be_written_does_not_take_the_next_along(tmp_path: Path) -> None:
    """As on a disk that was full for a while."""
    said = subprocess.run([sys.executable, "-c", FULL, tmp_path], cwd=ROOT, check=True, capture_output=True, text=True)
    assert said.stderr.startswith(f"no log lines go to {tmp_path}: ")
    (path,) = files(tmp_path)
    first, torn, last = path.read_text().splitlines()
    assert (json.loads(first)["event"], json.loads(last)["event"]) == ("first", "last")
    assert torn
    assert "lost" not in torn
