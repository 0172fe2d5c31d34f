"""`essaim plan`: simulate queue and workers with other values in the ScaledObject, before anything is deployed."""

import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from essaim.cli.errors import CliError
from essaim.cli.options import Json
from essaim.cli.output import console, document, note, table
from essaim.cli.plan import options as given
from essaim.units import plural

if TYPE_CHECKING:
    from essaim.planning.arrivals import Load
    from essaim.planning.candidates import Candidate
    from essaim.planning.planning import Assessment, ClusterAssumptions
    from essaim.planning.recording import Recording

MOST_CANDIDATES = 200
MOST_TASKS = 10_000_000  # a minute of computing or more, for each candidate and replay


def plan(
    run: given.Run = None,
    rate: given.Rate = "0",
    burst: given.Burst = 0,
    every: given.Every = "",
    duration: given.Duration = "10m",
    tasks: given.Tasks = 1,
    work: given.Work = "2s",
    scaledobject: given.ScaledObject = None,
    start_up: given.StartUp = "",
    concurrency: given.Concurrency = 1,
    local: given.Local = False,
    tries: given.Tries = None,
    p95: given.Target = "",
    replays: given.Replays = 5,
    html: given.Html = None,
    as_json: Json = False,
) -> None:
    """Simulate how queue and workers would react to load, with the arithmetic of KEDA and the HPA. Needs no server.

    Exit code 1 means none of the candidates meets --p95.

    Example: essaim plan --burst 200 --work 2s

    Example: essaim plan --rate 5/s --try tasksPerWorker=1,5 --try maxReplicaCount=10,20 --p95 10s

    Example: essaim plan --run .essaim/load/monday --try pollingInterval=1,5,30 --p95 1m --html plan.html
    """
    from essaim.cli.plan.advice import advice
    from essaim.planning.durations import seconds
    from essaim.planning.planning import choose
    from essaim.planning.recording import read

    if run and (burst or rate != "0"):
        raise CliError("a recorded run has its own arrivals: give either --run, or --rate and --burst")
    recording = read(run) if run else None
    target = seconds(p95) if p95 else None
    load = _recorded(recording) if recording else _load(rate, burst, every, duration, tasks, work)
    assumptions = _assumptions(recording, start_up, concurrency, local)
    assessments = _assess(_candidates(scaledobject, tries or []), assumptions, load, replays)
    chosen = choose(assessments, target) if target is not None else None
    sentences, about = advice(assessments, load, target), f"{load.about}; {assumptions.about}"
    if html:
        from essaim.cli.plan.page import plan_page

        html.write_text(plan_page(about, load, assessments, chosen, sentences, recording), encoding="utf-8")
    if as_json:
        recommended = None if chosen is None else assessments.index(chosen)
        found = {"about": about, "p95_wanted": target, "recommended": recommended, "reasons": list(sentences)}
        document({**found, "candidates": [it.described() for it in assessments]})
    else:
        _show(about, assessments, chosen, sentences)
        if html:
            note(f"charts: {html}")
    if target is not None and chosen is None:
        raise typer.Exit(1)


def _load(rate: str, burst: int, every: str, duration: str, tasks: int, work: str) -> "Load":
    from essaim.planning.arrivals import Pattern
    from essaim.planning.durations import distribution, per_second, seconds

    again = seconds(every) if every else inf
    if again <= 0:
        raise CliError("--every must be more than 0")
    pattern = Pattern(seconds(duration), per_second(rate), burst, again, tasks)
    if (expected := pattern.expected()) > MOST_TASKS:
        raise CliError(f"that makes {expected:,.0f} tasks, and {MOST_TASKS:,} is the most: plan for less")
    return pattern.load(distribution(work), f"{work} of work {'each' if tasks == 1 else 'a task'}")


def _recorded(recording: "Recording") -> "Load":
    from essaim.planning.arrivals import recorded

    if recording.run.speed != 1:
        note(
            f"the run was recorded with an autoscaler {recording.run.speed:g}× as fast; the simulation uses normal speed"
        )
    return recorded(recording)


def _assumptions(recording: "Recording | None", start_up: str, concurrency: int, local: bool) -> "ClusterAssumptions":
    from essaim.autoscaler.policy import parse
    from essaim.planning.calibration import SHOWN_SECONDS, calibrate
    from essaim.planning.durations import distribution
    from essaim.planning.forecast import USUAL_HANDOVER
    from essaim.planning.planning import ClusterAssumptions

    shown, handover, usual = 0.0 if local else SHOWN_SECONDS, USUAL_HANDOVER, "2s"
    if recording is not None:
        seen = calibrate(recording, parse(recording.run.scaledobject, "the run's ScaledObject"))
        shown, handover = 0.0 if local else seen.shown_every, seen.handover
        concurrency, usual = max(concurrency, recording.run.concurrency), f"{seen.start_up:.2f}s"
    late = f", numbers over HTTP up to {shown:g} s late" if shown else ""
    start_up = start_up or usual
    about = f"workers start in {start_up} and take {handover * 1000:.0f} ms from task to task{late}"
    return ClusterAssumptions(about, distribution(start_up), handover, shown, concurrency)


def _candidates(path: Path | None, tries: Sequence[str]) -> "list[Candidate]":
    from essaim.autoscaler.policy import default_path, read
    from essaim.planning.candidates import candidates

    found = candidates(read(path or default_path()), tries)
    if len(found) > MOST_CANDIDATES:
        raise CliError(f"that makes {len(found):,} candidates, and {MOST_CANDIDATES} is the most: try fewer values")
    return found


def _assess(
    found: "Sequence[Candidate]", assumptions: "ClusterAssumptions", load: "Load", replays: int
) -> "list[Assessment]":
    from essaim.cli.jobs.progress import progress
    from essaim.planning.planning import assess

    with progress() as bars:
        bar = bars.add_task(f"simulating {plural(len(found), 'candidate')}", total=len(found) * replays, note="")
        return [assess(candidate, assumptions, load, replays, lambda: bars.advance(bar)) for candidate in found]


def _show(
    about: str, assessments: "Sequence[Assessment]", chosen: "Assessment | None", sentences: Sequence[str]
) -> None:
    from essaim.cli.plan.screen import RIGHT, curves, headers, rows

    typer.echo(f"{about}\n")
    table(headers(assessments), rows(assessments, chosen), right=RIGHT)
    typer.echo()
    screen = console()
    if sys.stdout.isatty():
        screen.print(curves(assessments, screen.width))
        typer.echo()
    screen.print("\n".join(sentences), markup=False, soft_wrap=True)
