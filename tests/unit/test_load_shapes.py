"""When visitors come, as plain functions of time."""

import pytest

from loadtests.load.shapes import SHAPES, WAVES


def come(name: str, jobs: int = 90, span: float = 60.0) -> list[int]:
    """After each tenth of a second."""
    return [SHAPES[name].visitors(tenth / 10, jobs, span) for tenth in range(int(span * 10) + 50)]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("jobs", [1, 7, 90, 1000])
def test_all_come_within_the_span_and_nobody_leaves_before_coming(name: str, jobs: int) -> None:
    counts = come(name, jobs)
    assert counts == sorted(counts)
    assert counts[600:] == [jobs] * 50
    assert SHAPES[name].visitors(-1, jobs, 60) == 0


def test_a_spike_is_all_at_once() -> None:
    assert come("spike")[0] == 90


def test_waves_are_thirds_that_come_together() -> None:
    counts = come("waves")
    assert sorted(set(counts)) == [30, 60, 90]
    assert [counts.index(number) for number in (30, 60, 90)] == [round(600 * wave) for wave in WAVES]


def test_a_ramp_comes_faster_and_faster() -> None:
    counts = come("ramp")
    thirds = [counts[200], counts[400] - counts[200], counts[600] - counts[400]]
    assert thirds == sorted(thirds)
    assert thirds[2] > 3 * thirds[0]


def test_a_soak_comes_evenly() -> None:
    counts = come("soak")
    assert all(abs(counts[tenth] - 90 * tenth / 600) <= 1 for tenth in range(601))


@pytest.mark.parametrize("name", SHAPES)
def test_no_span_is_all_at_once(name: str) -> None:
    assert SHAPES[name].visitors(0, 90, 0) == 90
