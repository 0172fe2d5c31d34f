"""How numbers, times and strangers' text are put for people."""

import json
from datetime import UTC, datetime

import pytest

from essaim.cli.output import document, printable, table
from essaim.units import ago, duration, plural, size


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_are_short(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (104_000_000, "104 MB"), (5e12, "5000 GB")]
)
def test_sizes_are_short(count: float, said: str) -> None:
    assert size(count) == said


def test_one_is_singular() -> None:
    assert [plural(number, "task") for number in (0, 1, 1200)] == ["0 tasks", "1 task", "1,200 tasks"]


def test_ages_count_from_now() -> None:
    assert ago("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, 3, 5, tzinfo=UTC)) == "3 min 05 s"
    assert ago(None) == "–"


def test_control_characters_become_dots() -> None:
    assert printable("a\x1b[31m\r\x00b\té\n") == "a·[31m··b·é\n"


def test_a_document_survives_any_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    document({"é": "\udcff\x1b"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"é": "\udcff\x1b"}


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    table(("name", "count"), [("n" * 300, 7), ("[red]x", 12)], right=("count",))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["n" * 300, "7"]
    assert lines[2].split() == ["[red]x", "12"]
