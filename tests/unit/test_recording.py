"""A recorded run comes back as it was written, and what is none says so."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from essaim.planning.errors import RecordingError
from essaim.planning.recording import JobTimes, Moment, Recording, Run, read, work_of, write

RUN = Run(
    shape="spike",
    server="http://127.0.0.1:8080",
    started=datetime(2026, 11, 26, tzinfo=UTC),
    scaledobject={"spec": {"pollingInterval": 1}},
    users=20,
    generator_cpu=0.25,
    versions={"essaim": "0.1.0"},
    machine="what else whoever records it knows",
)
MOMENTS = (Moment(0.25, 3, 1, 2, 1), Moment(1.25, 0, 0, 2, 0, replicas_desired=2, replicas_ready=1, hpa_desired=3))
JOBS = (
    JobTimes("a", 0.5, 0.75, 1.5, 2.5, "succeeded", 4, 3.25),
    JobTimes("b", 1.0, None, None, None, "queued", None),
)


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    recording = Recording(RUN, MOMENTS, JOBS)
    write(tmp_path / "run", recording)
    assert read(tmp_path / "run") == recording


def test_the_columns_are_those_that_are_agreed_on(tmp_path: Path) -> None:
    write(tmp_path, Recording(RUN, MOMENTS, JOBS))
    header = "seconds,ready,in_flight,workers,busy,replicas_desired,replicas_ready,hpa_desired"
    assert (tmp_path / "samples.csv").read_text().splitlines() == [header, "0.25,3,1,2,1,,,", "1.25,0,0,2,0,2,1,3"]
    header, first, second = (tmp_path / "jobs.csv").read_text().splitlines()
    assert header == "id,submitted,accepted,started,ended,state,tasks,work"
    assert (first, second) == ("a,0.5,0.75,1.5,2.5,succeeded,4,3.25", "b,1.0,,,,queued,,")


def test_a_column_that_came_later_may_be_absent(tmp_path: Path) -> None:
    write(tmp_path, Recording(RUN, (), JOBS))
    rows = (tmp_path / "jobs.csv").read_text().splitlines()
    (tmp_path / "jobs.csv").write_text("\n".join(row.rpartition(",")[0] for row in rows))
    assert [job.work for job in read(tmp_path).jobs] == [None, None]


def test_rows_are_in_the_order_of_time(tmp_path: Path) -> None:
    write(tmp_path, Recording(RUN, MOMENTS[::-1], JOBS[::-1]))
    assert read(tmp_path) == Recording(RUN, MOMENTS, JOBS)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("run.json", "{}", "shape"),
        ("run.json", "no JSON", "JSON"),
        ("samples.csv", "seconds,ready,in_flight,workers,busy\n1,two,0,0,0\n", "0.ready"),
        ("jobs.csv", "id,submitted\na,1\nb,\n", "0.accepted"),
    ],
)
def test_what_is_no_recorded_run_says_where_it_is_not(tmp_path: Path, file: str, text: str, says: str) -> None:
    write(tmp_path, Recording(RUN, MOMENTS, JOBS))
    (tmp_path / file).write_text(text)
    with pytest.raises(RecordingError, match=says):
        read(tmp_path)


def test_an_absent_folder_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"is not a recorded run.*run\.json"):
        read(tmp_path / "absent")


def test_what_was_run_is_readable_without_us(tmp_path: Path) -> None:
    write(tmp_path, Recording(RUN, MOMENTS, JOBS))
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["machine"] == "what else whoever records it knows"
    assert document["started"] == "2026-11-26T00:00:00Z"


def test_the_work_of_a_job_is_what_its_tasks_took() -> None:
    assert work_of([]) == 0
    assert work_of([(3.0, 5.0)]) == 2


def test_a_first_task_that_waited_after_the_split_does_not_count_as_work() -> None:
    assert work_of([(1.0, 61.0), (10.0, 12.0), (20.0, 24.0)]) == 9
