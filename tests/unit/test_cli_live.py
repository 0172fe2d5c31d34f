"""The live view: what it looks like, in a terminal of any size and as lines."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from essaim.cli.local.live import screen, spark
from essaim.cli.local.status import Counts, LocalStatus, ReleaseStatus, WorkerProcess, changes, line, summed
from essaim.jobs.model import Depth, Job, Problem, State

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def job(number: int, state: State, **more: object) -> Job:
    created = NOW - timedelta(seconds=12)
    made = Job(f"0199f3a2-7c1e-7b54-a1f0-{number:012}", "anonymous", "dev", {}, "", created, state, tasks=8)
    return replace(made, **more)  # type: ignore[arg-type]  # named as the fields are


STATUS = LocalStatus(
    server="http://127.0.0.1:8080",
    elapsed=12.34,
    speed=5.0,
    depth=Depth(34, 8),
    desired=6,
    reason="there is work; 14 wanted, 6 by the limits",
    workers=[
        WorkerProcess("local-1", "running", 4711, 0, ("0199f3a2-7c1e-7b54-a1f0-000000000001/3",)),
        WorkerProcess("local-2", "crashed", None, 2, ()),
        WorkerProcess("local-3", "starting", 4713, 0, ()),
    ],
    jobs=[job(1, State.RUNNING, tasks_ended=3, progress=0.4), job(2, State.QUEUED, tasks=None)],
    history=[Counts(0, 0), Counts(42, 1), Counts(42, 3)],
    now=NOW,
)
SIDES = replace(
    STATUS,
    releases=[
        ReleaseStatus("v1", "http://127.0.0.1:4001", 90, Depth(30, 8), 5, "there is work", STATUS.workers[:2]),
        ReleaseStatus("v2-next", "http://127.0.0.1:4002", 10, None, 1, "the queue cannot be asked", STATUS.workers[2:]),
    ],
    workers=[replace(STATUS.workers[0], release="v1"), replace(STATUS.workers[2], release="v2-next")],
)
BUSY = replace(
    STATUS,
    workers=[WorkerProcess(f"local-{number}", "running", 4700 + number, 0, ()) for number in range(40)],
    jobs=[job(number, State.SUCCEEDED, ended=NOW) for number in range(40)],
    hint="three of four",
)


def drawn(status: LocalStatus, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    with console.capture() as capture:
        console.print(screen(status, width, height))
    return capture.get().splitlines()


def test_a_long_reason_takes_the_lines_it_needs_and_no_more() -> None:
    words = [f"reason-{number}" for number in range(40)]
    for width in (60, 100):
        rows = drawn(replace(STATUS, reason=" ".join(words)), width, 40)
        start = next(index for index, row in enumerate(rows) if row.startswith("why "))
        shown = " ".join(rows[start : start + 3]).split()[1:]
        assert shown == [*words[: len(shown) - 1], "…"]
        assert len(shown) > 3 * (width - 9) // 12
        assert not rows[start + 3].strip()
    assert [row for row in drawn(STATUS, 30, 40) if row.startswith("why ")]


def test_the_screen_says_all_there_is_to_know() -> None:
    text = "\n".join(drawn(STATUS, 100, 30))
    for part in (
        "http://127.0.0.1:8080",
        "time runs 5× faster in the autoscaler",
        "34 ready",
        "8 in flight",
        "3 running",
        "6 desired",
        "14 wanted, 6 by the limits",
        "4711",
        "0199f3a2-7c1e-7b54-a1f0-000000000001/3",
        "crashed  (restarted 2×)",
        "starting",
        "3/8",
        "12 s",
    ):
        assert part in text


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("height", [16, 24, 30, 60])
@pytest.mark.parametrize(
    "status",
    [STATUS, SIDES, replace(BUSY, releases=SIDES.releases), BUSY, replace(STATUS, workers=(), jobs=(), history=())],
)
def test_the_screen_fits_into_the_terminal(status: LocalStatus, width: int, height: int) -> None:
    lines = drawn(status, width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert any(line.startswith("job") for line in lines)


def test_releases_are_told_apart() -> None:
    lines = drawn(SIDES, 140, 40)
    assert "release  requests  ready  in flight  workers  desired" in "\n".join(lines)
    table = [line.split()[:7] for line in lines if line.startswith("v")]
    assert table == [["v1", "90", "%", "30", "8", "2", "5"], ["v2-next", "10", "%", "?", "?", "1", "1"]]
    assert any(line.split()[:3] == ["local-3", "4713", "v2-next"] for line in lines)
    assert any(line.split()[1:3] == ["dev", "running"] for line in lines)


def test_each_release_has_its_own_line() -> None:
    first, second = SIDES.releases
    later = replace(SIDES, releases=[replace(first, percent=75), second], jobs=[job(1, State.FAILED), STATUS.jobs[1]])
    assert changes(SIDES, SIDES) == []
    assert changes(SIDES, later) == [
        "  12.3 s  v1       75 %  queue  30 ready  8 in flight  workers  2 (desired 5)",
        "  12.3 s  job 0199f3a2-7c1e-7b54-a1f0-000000000001  dev  failed  0/8 tasks",
    ]
    scaled = replace(SIDES, releases=[first, replace(second, depth=Depth(1, 0), desired=2, reason="more")])
    assert changes(SIDES, scaled) == [
        "  12.3 s  v2-next  10 %  queue   1 ready  0 in flight  workers  1 (desired 2)  more"
    ]


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    assert summed([Depth(1, 2), Depth(3, 4)]) == Depth(4, 6)
    assert summed([Depth(1, 2), None]) is None


def test_what_does_not_fit_is_counted() -> None:
    lines = drawn(BUSY, 80, 24)
    shown = sum(line.startswith("local-") for line in lines)
    assert f"and {40 - shown} more" in [line.strip() for line in lines]
    assert sum("succeeded" in line for line in lines) >= 3


def test_nobody_steers_the_terminal_through_the_view() -> None:
    text = "\n".join(
        drawn(
            replace(STATUS, reason="\x1b[31mred", workers=[WorkerProcess("\x1b]0;x\x07", "running", 1, 0, ())]), 80, 24
        )
    )
    assert "\x1b" not in text
    assert "[31mred" in text


def test_markup_in_names_is_only_text() -> None:
    text = "\n".join(
        drawn(replace(STATUS, workers=[WorkerProcess("[bold]w[/]", "running", 1, 0, ("[red]j/0",))]), 80, 24)
    )
    assert "[bold]w[/]" in text
    assert "[red]j/0" in text


def test_a_queue_that_cannot_be_asked_is_unknown() -> None:
    status = replace(STATUS, depth=None)
    assert "unknown" in "\n".join(drawn(status, 80, 24))
    assert line(status) == "  12.3 s  queue unknown  workers  3 (desired 6)"


def test_a_line_is_made_for_reading_down_a_log() -> None:
    assert line(STATUS) == "  12.3 s  queue  34 ready  8 in flight  workers  3 (desired 6)"


def test_only_what_has_changed_is_said() -> None:
    assert changes(STATUS, STATUS) == []
    later = replace(STATUS, jobs=[job(1, State.FAILED, problem=Problem("job", "no \x1b way")), STATUS.jobs[1]])
    assert changes(STATUS, later) == ["  12.3 s  job 0199f3a2-7c1e-7b54-a1f0-000000000001  failed  0/8 tasks  no · way"]
    scaled = replace(STATUS, desired=7, hint="three of four")
    assert changes(STATUS, scaled) == [
        "  12.3 s  three of four",
        "  12.3 s  queue  34 ready  8 in flight  workers  3 (desired 7)  there is work; 14 wanted, 6 by the limits",
    ]


def test_a_burst_is_one_line() -> None:
    burst = replace(STATUS, jobs=[job(number, State.QUEUED) for number in range(10, 34)])
    assert changes(STATUS, burst) == ["  12.3 s  24 jobs queued"]


def test_a_view_begins_with_everything() -> None:
    said = changes(None, STATUS)
    assert said[0].endswith("time runs 5× faster in the autoscaler")
    assert len(said) == 4


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [
        ([], 5, ""),
        ([0, 1, 4, 8], 4, " ▁▄█"),
        ([0, 8, 0, 0, 1, 0], 3, "█ ▁"),
        ([3], 0, ""),
    ],
)
def test_a_curve_shows_its_peaks(values: list[int], width: int, bars: str) -> None:
    assert spark(values, width, 8) == bars
