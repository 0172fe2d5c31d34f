"""What is not as it must be is said, for each way in which a job can go astray; and clocks are brought together."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from loadtests.load.checking import CheckedJob, clock_shift, faults, times
from loadtests.load.visits import Visit

VISIT = Visit(0, "key", "text", False, False, 100.0, 101.0, 110.0, "job", "succeeded", "", True)


def stamp(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def job(state: str = "succeeded", created: float = 100.5, started: float | None = 103.0) -> dict[str, Any]:
    ended = 105.0 if state != "running" else None
    return {
        "state": state,
        "created": stamp(created),
        "started": stamp(started),
        "ended": stamp(ended),
        "tasks": 1,
    }


def check(visit: Visit = VISIT, found: dict[str, Any] | None = None, **more: Any) -> list[str]:
    seen = [CheckedJob(visit, found, ())] if visit.id else []
    return faults(1, [visit], seen, **more)


def test_a_job_that_succeeded_is_no_fault() -> None:
    assert check(found=job()) == []


def test_one_that_was_cancelled_on_request_is_none_either() -> None:
    asked = replace(VISIT, cancels=True, state="cancelled")
    assert check(asked, job("cancelled")) == []
    assert check(replace(asked, state="succeeded"), job()) == []


@pytest.mark.parametrize(
    ("visit", "found", "says"),
    [
        (VISIT, None, "never heard of"),
        (replace(VISIT, state=""), job("running"), "not ended"),
        (replace(VISIT, state="failed"), job("failed"), "failed"),
        (replace(VISIT, state="cancelled"), job("cancelled"), "nobody asked"),
        (replace(VISIT, cancels=True, state="succeeded"), job("cancelled"), "another state"),
        (replace(VISIT, state=""), job(), "never heard of it"),
        (replace(VISIT, id="", accepted=None, state=""), None, "never accepted"),
        (replace(VISIT, problem="no patience"), job(), "given up (no patience)"),
    ],
)
def test_what_went_astray_is_named(visit: Visit, found: dict[str, Any] | None, says: str) -> None:
    (fault,) = check(visit, found)
    assert fault.startswith("1 job ")
    assert says in fault
    assert fault.endswith(visit.id or visit.key)


def test_visitors_who_never_came_and_jobs_that_nobody_was_told_of_are_faults() -> None:
    assert faults(2, [VISIT], [CheckedJob(VISIT, job(), ())]) == ["only 1 of 2 visitors came"]
    assert check(found=job(), strangers={"other"}) == ["1 job there, and nobody was told of it: other"]


def test_many_are_counted_and_a_few_are_named() -> None:
    visits = [replace(VISIT, id=f"job-{number}") for number in range(20)]
    (fault,) = faults(20, visits, [CheckedJob(visit, None, ()) for visit in visits])
    assert fault.startswith("20 jobs")
    assert fault.endswith("job-4 and 15 more")


def test_times_count_from_when_the_run_began() -> None:
    tasks = [{"started": stamp(103.0), "ended": stamp(104.5)}, {"started": None, "ended": None}]
    (row,) = times([CheckedJob(VISIT, job(), tasks)], began=90.0)
    assert (row.submitted, row.accepted, row.started, row.ended) == (10.0, 11.0, 13.0, 15.0)
    assert (row.state, row.tasks, row.work) == ("succeeded", 1, 1.5)


def test_a_job_that_is_lost_has_a_row_too() -> None:
    (row,) = times([CheckedJob(VISIT, None, ())], began=90.0)
    assert (row.state, row.started, row.ended, row.work) == ("lost", None, None, None)


@pytest.mark.parametrize("off", [-40.0, 0.0, 0.3, 40.0])
def test_a_server_whose_clock_is_off_is_set_right(off: float) -> None:
    """Each job was made between its submission and its 202, whatever its server's clock says."""
    visits = [replace(VISIT, submitted=100.0 + number, accepted=100.2 + number) for number in range(5)]
    seen = [CheckedJob(visit, job(created=visit.submitted + 0.1 + off), ()) for visit in visits]
    assert abs(clock_shift(seen) - off) <= (0.1 + 1e-6 if off else 0)
