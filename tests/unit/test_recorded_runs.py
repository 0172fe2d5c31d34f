"""What was recorded once, by `make load`, and is now data: it shows what load must show, and can still be read."""

from itertools import pairwise
from pathlib import Path

import pytest

from essaim.cli.report import write_report
from essaim.planning.recording import Moment, Recording, read
from essaim.runs.figures import figures_of

RUNS = Path(__file__).parents[1] / "data" / "runs"


def there(moment: Moment) -> int:
    """In a cluster its replicas: a worker that left without a word still counts as alive for a while."""
    return moment.workers if moment.replicas_ready is None else moment.replicas_ready


def workers(recording: Recording, start: float, end: float) -> list[int]:
    return [moment.workers for moment in recording.moments if start <= moment.seconds <= end]


@pytest.mark.parametrize("folder", sorted(RUNS.iterdir()), ids=lambda folder: str(folder.name))
def test_nothing_was_lost_and_workers_came_and_went(folder: Path, tmp_path: Path) -> None:
    recording = read(folder)
    figures = figures_of(recording)
    assert not recording.run.faults
    assert figures.states.keys() <= {"succeeded", "cancelled"}
    assert all(job.ended is not None for job in recording.jobs)
    first, last = recording.moments[0], recording.moments[-1]
    assert (there(first), there(last), last.ready, last.in_flight) == (0, 0, 0, 0)
    assert figures.peak_workers > 1
    assert write_report(folder, output=tmp_path / "page.html").exists()


def test_the_spike_was_of_200_from_zero() -> None:
    recording = read(RUNS / "spike")
    assert len(recording.jobs) == 200
    assert recording.jobs[-1].submitted - recording.jobs[0].submitted < 1
    assert max(moment.ready + moment.in_flight for moment in recording.moments) == 200


def test_the_second_wave_came_before_the_workers_had_gone_and_the_third_after() -> None:
    recording = read(RUNS / "waves")
    times = [job.submitted for job in recording.jobs]
    first, *begins = [times[0], *(after for before, after in pairwise(times) if after - before > 2)]
    second, third = begins
    ended = [max(job.ended or 0 for job in recording.jobs if job.submitted < begin) for begin in begins]
    assert first < ended[0] < second < ended[1] < third
    assert min(workers(recording, ended[0], second)) > 0
    assert min(workers(recording, ended[1], third)) == 0
