"""`essaim demo`: what a newcomer sees first works, and shows that it does."""

import re
import sys
from pathlib import Path

import pytest

from tests.integration.essaim_command import essaim, processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_the_demo_goes_through_and_workers_come_and_go(tmp_path: Path) -> None:
    said = essaim("demo", TMPDIR=str(tmp_path))
    assert said.code == 0, said.out + said.err
    counts = [int(number) for number in re.findall(r"workers +(\d+) \(desired", said.out)]
    assert counts[0] == counts[-1] == 0
    assert max(counts) >= 5
    course = re.search(r"Workers: 0 → (\d+) → 0", said.out)
    assert course is not None
    assert int(course[1]) == max(counts)
    for counted, expected in re.findall(r"^\w+ +([\d,]+) +([\d,]+)$", said.out, re.MULTILINE):
        assert counted == expected
    assert re.search(r"25 jobs became 72 tasks", said.out)
    assert "time runs 5× faster" in said.out
    assert re.search(r"Worker \S+ was killed \(kill -9 \d+\) while it ran task \d+", said.out)
    resumed = re.search(r"resumed that task from its checkpoint, at (\d+)%\. Nothing was lost\.", said.out)
    assert resumed is not None
    assert 0 < int(resumed[1]) < 100
    assert "What to try next" in said.out
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == set()
