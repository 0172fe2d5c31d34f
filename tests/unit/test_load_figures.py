"""What a recorded run comes to: numbers that can be worked out by hand, and warnings that come when they are due."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from essaim.planning.recording import JobTimes, Moment, Recording, Run
from essaim.runs.figures import (
    LATE,
    Memory,
    Percentiles,
    figures_of,
    gaps_in,
    generator_share,
    memory_of,
    percentiles,
    warnings_of,
)
from essaim.runs.footprint import Footprint
from essaim.runs.traffic import Traffic

RUN = Run(shape="spike", server="here", started=datetime(2026, 3, 1, tzinfo=UTC), scaledobject={})


def moment(seconds: float, workers: int = 0, busy: int = 0, ready: int = 0) -> Moment:
    return Moment(seconds, ready, busy, workers, busy)


def job(number: int, submitted: float, ended: float | None, state: str = "succeeded") -> JobTimes:
    return JobTimes(str(number), submitted, submitted + 0.5, submitted + 1, ended, state, 1)


def recorded(moments: Sequence[Moment] = (), jobs: Sequence[JobTimes] = ()) -> Recording:
    return Recording(RUN, tuple(moments), tuple(jobs))


def generator(shares: Sequence[float], role: str = "generator") -> list[Footprint]:
    """A share for each second."""
    return [Footprint(float(second), role, 1, 1, share) for second, share in enumerate(shares)]


def late(seconds: float) -> Traffic:
    return Traffic("", LATE, 10, 0, 0.0, seconds, seconds, seconds)


def test_cost_and_waste_are_the_areas_under_the_lines() -> None:
    figures = figures_of(
        recorded([moment(0), moment(1, workers=4, busy=4, ready=6), moment(3, workers=4, busy=1), moment(5)])
    )
    assert figures.worker_seconds == 4 * 2 + 4 * 2
    assert figures.idle_seconds == 3 * 2
    assert figures.waste == 6 / 16
    assert (figures.peak_workers, figures.peak_queue, figures.seconds) == (4, 10, 5)


def test_only_a_job_that_succeeded_has_a_time_to_result() -> None:
    figures = figures_of(
        recorded(jobs=[job(1, 0, 2), job(2, 1, 5), job(3, 0, 90, "failed"), job(4, 0, 91, "cancelled")])
    )
    assert figures.result == Percentiles(2, 4, 4, 4)
    assert figures.accept == Percentiles(0.5, 0.5, 0.5, 0.5)
    assert figures.states == {"succeeded": 2, "failed": 1, "cancelled": 1}


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentiles(range(1, 101)) == Percentiles(50, 95, 99, 100)
    assert percentiles([3.0]) == Percentiles(3, 3, 3, 3)
    assert percentiles([]) is None


def test_a_run_of_nothing_has_figures() -> None:
    figures = figures_of(recorded())
    assert (figures.jobs, figures.waste, figures.result) == (0, 0.0, None)


def test_a_generator_that_fills_its_core_is_a_warning() -> None:
    (warning,) = warnings_of(recorded(), generator([0.1] * 5 + [0.95] * 6 + [0.1] * 5), [])
    assert "bottleneck" in warning


@pytest.mark.parametrize("shares", [[0.5] * 20, [0.1] * 10 + [1.0] * 2 + [0.1] * 10, [], [1.0]])
def test_one_that_has_room_is_none(shares: list[float]) -> None:
    assert warnings_of(recorded(), generator(shares), []) == []


def test_what_it_took_before_anybody_came_does_not_count() -> None:
    """Importing locust fills a core."""
    footprints = generator([1.0] * 10 + [0.25] * 10)
    assert generator_share(footprints, since=9) == (0.25, 0.25)
    assert warnings_of(recorded(jobs=[job(1, 9.5, 12)]), footprints, []) == []
    assert warnings_of(recorded(jobs=[job(1, 0.0, 12)]), footprints, [])


def test_servers_may_fill_their_core() -> None:
    assert warnings_of(recorded(), generator([1.0] * 20, role="api"), []) == []


def test_a_generator_that_is_late_is_a_warning() -> None:
    assert warnings_of(recorded(), [], [late(0.02)]) == []
    (warning,) = warnings_of(recorded(), [], [late(0.3)])
    assert "300 ms" in warning


def test_gaps_in_what_was_heard_are_one_warning() -> None:
    assert gaps_in([0, 1, 3, 12, 13, 20]) == ((3, 12), (13, 20))
    assert warnings_of(recorded(), [], []) == []
    gone = Recording(RUN.model_copy(update={"gaps": gaps_in([0, 1, 3, 12, 13, 20])}), (), ())
    (warning,) = warnings_of(gone, [], [])
    assert "2 gaps of up to 9 s" in warning


def test_that_several_releases_answered_is_a_warning() -> None:
    one, two = (Recording(RUN.model_copy(update={"releases": it}), (), ()) for it in (("v1",), ("v1", "v2")))
    assert warnings_of(one, [], []) == []
    (warning,) = warnings_of(two, [], [])
    assert "v1 and v2" in warning


def test_memory_is_compared_between_the_first_and_the_last_quarter() -> None:
    leaking = [Footprint(float(second), "api", 1, 100 + second, 0.0) for second in range(101)]
    steady = [Footprint(float(second), "worker", 2 + second % 3, 50, 0.0) for second in range(101)]
    early = [Footprint(5.0, "generator", 9, 70, 0.0)]
    assert memory_of([*leaking, *steady, *early], 0, 100) == [
        Memory("api", 1, 112.5, 187.5, 200),
        Memory("worker", 3, 50, 50, 50),
    ]
    assert memory_of(leaking, 40, 80) == [Memory("api", 1, 145, 175, 180)]
