"""`essaim demo`: everything in under a minute, on real text, with checked results."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from essaim.cli.errors import CliError
from essaim.cli.options import Live, Speed
from essaim.cli.output import console, note, table
from essaim.cli.running import run

if TYPE_CHECKING:
    from essaim.cli.demo_run import DemoResult


def demo(
    speed: Speed = 5.0,
    live: Live = True,
) -> None:
    """See it work: one large search, a burst of small ones, workers 0 → N → 0, and one of them killed. Cleans up after itself.

    Exit code 1 means a job failed, a count was wrong, or the workers did not scale up and down.

    Example: essaim demo
    """
    note("Starting an API; the queue will start the workers …")
    outcome = run(_demo(speed, live))
    faults = outcome.faults()
    _report(outcome, faults)
    for fault in faults:
        note(f"WRONG: {fault}")
    raise typer.Exit(1 if faults else 0)


async def _demo(speed: float, live: bool) -> "DemoResult":
    from essaim.autoscaler.policy import load
    from essaim.cli.client import open_client
    from essaim.cli.demo_run import LEASE_SECONDS, LONGEST_SECONDS, WorkerCounts, run_demo
    from essaim.cli.local.processes import open_local, private
    from essaim.cli.local.up import show

    with tempfile.TemporaryDirectory(prefix="essaim-demo-") as folder:
        async with (
            open_local(private(Path(folder), lease_seconds=LEASE_SECONDS), load(), speed=speed) as local,
            open_client(local.server) as client,
        ):
            workers = WorkerCounts()
            try:
                return await show(local, run_demo(local, client, workers), live=live, on_status=workers.watch)
            except TimeoutError:
                raise CliError(
                    f"not finished after {LONGEST_SECONDS / 60:.0f} minutes; is this machine very busy?"
                ) from None


def _report(outcome: "DemoResult", faults: list[str]) -> None:
    counted, expected = outcome.counted(outcome.jobs[0]), outcome.expected
    rows = [(word, f"{counted.get(word, 0):,}", f"{count:,}") for word, count in expected.items()]
    typer.echo()
    table(("word", "counted", "plain regex"), rows, right=("counted", "plain regex"))
    essaim = "essaim" if shutil.which("essaim") else os.path.relpath(sys.argv[0])
    right = [] if faults else ["Every job succeeded, and every count equals that of a plain regular expression."]
    lines = ["", "What just happened", *outcome.sentences(), *right, "", "What to try next", *_next(essaim)]
    console().print("\n".join(lines), markup=False, soft_wrap=True)


def _next(essaim: str) -> list[str]:
    return [
        f"  {essaim} up",
        "      API, workers and this view, until Ctrl-C. Open http://127.0.0.1:8080 in a browser for a live page.",
        "      Then, in another terminal:",
        "  curl -s http://127.0.0.1:8080/v1/jobs \\",
        "      -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\",
        """      -d '{"text": "The swarm hums.", "words": ["swarm"]}'""",
        f"  {essaim} search --ignore-case swarm -- FILE...",
        "      Your own files and folders, with or without a server.",
        "  kill -9 PID",
        "      Kill a worker in the view: another resumes its task from the checkpoint.",
    ]
