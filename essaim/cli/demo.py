"""`essaim demo`: the whole of it in under a minute, on real text, and checked."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from essaim.cli.errors import CliError
from essaim.cli.output import console, note, table
from essaim.cli.running import run

if TYPE_CHECKING:
    from essaim.cli.demo_run import Outcome


def demo(
    speed: Annotated[
        float, typer.Option("--speed", min=0.1, max=100, metavar="X", help="How fast time runs in the autoscaler.")
    ] = 5.0,
    live: Annotated[bool, typer.Option("--live/--no-live", help="A live view, in a terminal; otherwise lines.")] = True,
) -> None:
    """See it work: a big search and a burst of small ones, workers 0 → N → 0, one of them killed. Leaves nothing behind.

    Exit code 1: a job failed, a count was wrong, or the workers did not come and go.

    Example: essaim demo
    """
    note("Essaim starts an API here, and lets the queue start the workers …")
    outcome = run(_demo(speed, live))
    faults = outcome.faults()
    _tell(outcome, faults)
    for fault in faults:
        note(f"WRONG: {fault}")
    raise typer.Exit(1 if faults else 0)


async def _demo(speed: float, live: bool) -> "Outcome":
    from essaim.cli.client import open_client
    from essaim.cli.demo_run import LEASE_SECONDS, LONGEST_SECONDS, Course, play
    from essaim.cli.local.processes import open_local, private, rules
    from essaim.cli.local.up import show

    with tempfile.TemporaryDirectory(prefix="essaim-demo-") as folder:
        async with (
            open_local(private(Path(folder), lease_seconds=LEASE_SECONDS), rules(), speed=speed) as local,
            open_client(local.server) as client,
        ):
            course = Course()
            try:
                return await show(local, play(local, client, course), live=live, also=course.watch)
            except TimeoutError:
                raise CliError(
                    f"after {LONGEST_SECONDS / 60:.0f} minutes it had not ended; is this machine very busy?"
                ) from None


def _tell(outcome: "Outcome", faults: list[str]) -> None:
    counted, expected = outcome.counted(outcome.jobs[0]), outcome.expected
    rows = [(word, f"{counted.get(word, 0):,}", f"{count:,}") for word, count in expected.items()]
    typer.echo()
    table(("word", "counted", "plain regex"), rows, right=("counted", "plain regex"))
    essaim = "essaim" if shutil.which("essaim") else os.path.relpath(sys.argv[0])
    right = [] if faults else ["Every job succeeded, and every count is that of a plain regular expression."]
    lines = ["", "What just happened", *outcome.sentences(), *right, "", "What to try next", *_next(essaim)]
    console().print("\n".join(lines), markup=False, soft_wrap=True)


def _next(essaim: str) -> list[str]:
    return [
        f"  {essaim} up",
        "      API, workers and this view, until Ctrl-C; http://127.0.0.1:8080 is a live page for browsers.",
        "      Then, in another terminal:",
        "  curl -s http://127.0.0.1:8080/v1/jobs \\",
        "      -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\",
        """      -d '{"text": "The swarm hums.", "words": ["swarm"]}'""",
        f"  {essaim} search --ignore-case swarm -- FILE...",
        "      Your own files and folders, with or without a server.",
        "  kill -9 PID",
        "      Of a worker in the view: its task goes on elsewhere, from its checkpoint.",
    ]
