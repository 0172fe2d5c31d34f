"""Prediction against reality: recorded runs, told again by the simulation, come out as they went."""

from pathlib import Path

import pytest

from essaim.planning.comparison import compare
from essaim.planning.recording import read
from loadtests.prediction import PICTURE, picture, recordings, sentence

RUNS = sorted((Path(__file__).parents[1] / "data" / "runs").iterdir())
REPLICAS, P95 = 0.10, 0.20


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_workers_and_time_to_result_are_predicted(folder: Path) -> None:
    """Mean absolute error of the workers under a tenth of the peak, and the p95 of the time to result within a fifth."""
    told = compare(read(folder))
    print(f"\n{sentence(folder.name, told)}")
    assert told.replicas_error < REPLICAS
    assert abs(told.p95_error) < P95


def test_the_picture_in_the_documentation_shows_these_runs() -> None:
    """`python -m loadtests.prediction` draws it again."""
    assert PICTURE.read_text(encoding="utf-8") == picture(recordings())


def test_what_is_compared_is_a_run_and_not_nothing() -> None:
    assert len(RUNS) >= 3
    for folder in RUNS:
        recording = read(folder)
        assert sum(job.state == "succeeded" for job in recording.jobs) >= 50
        assert max(moment.workers for moment in recording.moments) >= 3
