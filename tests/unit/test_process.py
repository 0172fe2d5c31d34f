"""What is there at the end of the start is not looked at for cycles again; what comes later still is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
import gc, sys, weakref
from essaim.jobs.process import freeze_gc

class Cycle: pass

freeze_gc()
assert gc.get_freeze_count() > 1000
later = Cycle()
later.itself, gone = later, weakref.ref(later)
del later
kept = [[] for _ in range(20_000)]
assert gone() is None
"""


def test_what_is_there_stays_and_later_cycles_still_go() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
