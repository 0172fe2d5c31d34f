"""`essaim report`: the page and the table say what the recorded run says, of one run and of two."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from essaim.cli.main import app
from essaim.planning import recording
from essaim.planning.errors import RecordingError
from essaim.planning.recording import JobTimes, Moment, Recording, Run
from essaim.runs import footprint
from essaim.runs.footprint import Footprint
from essaim.runs.measured import read_measured

SPEC = {"pollingInterval": 1, "cooldownPeriod": 60, "maxReplicaCount": 10}
EVIL = "</script><script>alert(1)</script>"


def write(folder: Path, *, slower: float = 1.0, **more: Any) -> Path:
    """Ten jobs at once, and two workers who take a second for each."""
    run = Run(
        shape="spike",
        server="essaim up",
        started=datetime(2026, 3, 1, tzinfo=UTC),
        scaledobject={"spec": SPEC},
        generator_cpu=0.25,
        **more,
    )
    jobs = [JobTimes(f"job-{number}", 1.0, 1.1, 2.0, 1 + (number + 1) * slower, "succeeded", 1) for number in range(10)]
    moments = [Moment(float(second), max(0, 10 - second), min(2, 10 - second), 2, 1) for second in range(11)]
    recording.write(folder, Recording(run, tuple(moments), tuple(jobs)))
    return folder


def report(*arguments: object) -> tuple[int, str, str]:
    said = CliRunner().invoke(app, ["report", *map(str, arguments)])
    return said.exit_code, said.stdout, said.stderr


def test_the_page_stands_beside_the_numbers_and_needs_nothing_else(tmp_path: Path) -> None:
    code, out, err = report(write(tmp_path / "monday"))
    assert code == 0
    page = (tmp_path / "monday" / "report.html").read_text()
    assert str(tmp_path / "monday" / "report.html") in err
    assert page.count("<svg") == 4
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page)) <= {path.name for path in tmp_path.glob("monday/*")} | {
        "processes.csv",
        "requests_stats.csv",
    }
    assert "http" not in re.sub(r"<title>.*?</title>", "", page)
    for row in ("10 succeeded", "5.00 / 10.00 / 10.00 s", "50%", "25% of a core"):
        assert row in out


def test_for_machines_it_is_one_document(tmp_path: Path) -> None:
    folder = write(tmp_path / "monday", faults=["1 job failed: job-3"])
    footprint.write(folder, [Footprint(0.0, "api", 7, 1024, 0.5)])
    code, out, err = report(folder, "--json")
    assert code == 0
    (run,) = json.loads(out)["runs"]
    assert run["result"] == {"p50": 5.0, "p95": 10.0, "p99": 10.0, "max": 10.0}
    assert run["worker_seconds"] == 20.0
    assert run["waste"] == 0.5
    assert run["faults"] == ["1 job failed: job-3"]
    assert run["states"] == {"succeeded": 10}
    assert "<svg" in (folder / "report.html").read_text()
    assert not err or "Traceback" not in err


def test_two_runs_are_compared(tmp_path: Path) -> None:
    monday, tuesday = write(tmp_path / "monday"), write(tmp_path / "tuesday", slower=1.5)
    code, out, _ = report(monday, tuesday)
    assert code == 0
    assert re.search(r"monday +tuesday", out)
    assert re.search(r"5\.00 / 10\.00 / 10\.00 s +7\.50 / 15\.00 / 15\.00 s", out)
    page = (tuesday / "against-monday.html").read_text()
    assert "50 % more" in page
    assert "the same" in page


def test_the_page_can_be_elsewhere(tmp_path: Path) -> None:
    code, *_ = report(write(tmp_path / "monday"), "--output", tmp_path / "page.html")
    assert code == 0
    assert (tmp_path / "page.html").exists()
    assert not (tmp_path / "monday" / "report.html").exists()


def test_faults_and_names_stay_text(tmp_path: Path) -> None:
    folder = write(tmp_path / "monday", faults=[EVIL], versions={EVIL: EVIL})
    report(folder)
    page = (folder / "report.html").read_text()
    assert EVIL not in page
    assert "&lt;/script&gt;" in page


@pytest.mark.parametrize("spoil", ["absent", "torn"])
def test_what_is_no_recorded_run_is_a_sentence(tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "monday"
    if spoil == "torn":
        write(folder)
        (folder / "jobs.csv").write_text("id,submitted\nx,soon\n")
    said = CliRunner().invoke(app, ["report", str(folder)])
    assert "is not a recorded run" in str(said.exception)


def test_three_runs_are_refused(tmp_path: Path) -> None:
    code, _, err = report("a", "b", "c")
    assert code == 2
    assert "two to compare" in err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("processes.csv", "seconds,role,pid,memory,cpu\n1.0,api,7"),
        ("requests_stats.csv", "Type,Name,Request Count,Failure Count,50%,95%,99%,100%\nGET,/v1/jobs,3"),
        ("requests_failures.csv", "Method,Name\nGET,/v1/jobs\n"),
    ],
)
def test_a_table_that_broke_off_is_a_sentence(tmp_path: Path, name: str, text: str) -> None:
    folder = write(tmp_path / "monday")
    (folder / name).write_text(text)
    with pytest.raises(RecordingError, match="is damaged"):
        read_measured(folder)


def test_what_was_not_recorded_is_not_nought(tmp_path: Path) -> None:
    folder = write(tmp_path / "monday")
    recorded = recording.read(folder)
    run = recorded.run.model_copy(update={"generator_cpu": None})
    recording.write(folder, Recording(run, recorded.moments, recorded.jobs))
    code, out, _ = report(folder)
    assert code == 0
    for row in ("failed requests", "generator"):
        assert re.search(rf"^{row} +–$", out, re.MULTILINE), out
