"""Which releases can be removed."""

from typing import Any

import pytest

from essaim.cli.releases import summarize

STATS = {"release": "2", "queue": {"ready": 4, "in_flight": 1}, "workers": 0}


def removable(jobs: dict[str, Any], workers: list[str]) -> list[str]:
    return [one["release"] for one in summarize({**STATS, "jobs": jobs}, workers) if one["removable"]]


def test_a_release_whose_jobs_have_all_ended_can_be_removed() -> None:
    assert removable({"1": {"succeeded": 7, "failed": 1, "cancelled": 1}, "2": {}}, ["2"]) == ["1"]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_release_with_work_to_do_stays(state: str) -> None:
    assert removable({"1": {"succeeded": 7, state: 1}}, []) == []


def test_a_release_with_workers_stays_since_its_queue_may_hold_something() -> None:
    assert removable({"1": {"succeeded": 7}}, ["1"]) == []


def test_the_release_that_answers_stays_and_only_its_queue_is_known() -> None:
    assert removable({}, []) == []
    old, own = summarize({**STATS, "jobs": {"1": {}}}, [])
    assert (old["queue"], own["queue"]) == (None, STATS["queue"])
