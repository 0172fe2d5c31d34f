"""The live view of Essaim on this machine: a `LocalStatus` as Rich renderables."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from textwrap import wrap

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from essaim.cli.local.status import LocalStatus, ReleaseStatus, WorkerProcess, speed
from essaim.cli.output import printable
from essaim.jobs.model import Job, State
from essaim.units import duration

COLOURS = {State.RUNNING: "cyan", State.SUCCEEDED: "green", State.FAILED: "red", State.CANCELLED: "yellow"}
BARS = "▁▂▃▄▅▆▇█"
WHY_LINES = 3
FIXED_LINES = 11 + WHY_LINES  # of the screen at most, besides the rows of workers and jobs
JOBS_AT_LEAST = 3


def screen(status: LocalStatus, width: int, height: int) -> RenderableType:
    """The whole view, no taller than the terminal; it shows as many workers and jobs as fit, the first ones first."""
    room = height - FIXED_LINES - len(status.releases)
    rows = max(min(len(status.workers), room - min(len(status.jobs), JOBS_AT_LEAST)), 1)
    return Group(
        _title(status),
        *([Text(status.hint, style="cyan")] if status.hint else []),
        Text(),
        _gauges(status, width),
        _releases(status.releases) if status.releases else _why(status, width),
        Text(),
        _workers(status.workers, rows, by_release=bool(status.releases)),
        Text(),
        _jobs(status.jobs[: max(room - rows, 1)], status.now, by_release=bool(status.releases)),
    )


def spark(values: Sequence[int], width: int, top: int) -> str:
    """The values as bars in at most `width` columns, each the maximum of its values; 0 is a space, `top` the full height."""
    if not values or width < 1:
        return ""
    if len(values) > width:
        edges = [index * len(values) // width for index in range(width + 1)]
        values = [max(values[start:end]) for start, end in pairwise(edges)]
    return "".join(
        BARS[min((value * len(BARS) - 1) // max(top, 1), len(BARS) - 1)] if value > 0 else " " for value in values
    )


def _title(status: LocalStatus) -> Text:
    title = Text.assemble(("essaim", "bold"), f"  {status.server}  ", (f"up {duration(status.elapsed)}", "dim"))
    if status.speed != 1:
        title.append(f"\n{speed(status)}", style="yellow")
    return title


def _gauges(status: LocalStatus, width: int) -> Table:
    depth = status.depth
    numbers = ("unknown", "") if depth is None else (f"{depth.ready} ready", f"{depth.in_flight} in flight")
    grid = Table.grid(padding=(0, 2, 0, 0))
    for column_width in (7, 10, 12):
        grid.add_column(min_width=column_width, no_wrap=True)
    grid.add_row(Text("queue", style="bold"), *numbers, _curve(status, "queue", "magenta", width - 35))
    numbers = (f"{status.running} running", f"{status.desired} desired")
    grid.add_row(Text("workers", style="bold"), *numbers, _curve(status, "workers", "green", width - 35))
    return grid


def _curve(status: LocalStatus, of: str, colour: str, width: int) -> Text:
    values = [getattr(moment, of) for moment in status.history]
    return Text(spark(values, width, max(values, default=0)), style=colour, no_wrap=True)


def _why(status: LocalStatus, width: int) -> Text:
    lines = wrap(printable(status.reason) or "–", max(width - 9, 10), max_lines=WHY_LINES, placeholder=" …")
    return Text.assemble(("why      ", "bold"), ("\n         ".join(lines), "dim"), no_wrap=True, overflow="ellipsis")


def _releases(releases: Sequence[ReleaseStatus]) -> Table:
    table = _table("release", "requests", "ready", "in flight", "workers", "desired", "at", "why")
    for it in releases:
        waiting = ("?", "?") if it.depth is None else (str(it.depth.ready), str(it.depth.in_flight))
        numbers = (*waiting, str(len(it.workers)), str(it.desired))
        table.add_row(
            Text(printable(it.name)),
            Text(f"{it.percent} %", style="cyan" if it.percent else "dim"),
            *numbers,
            Text(it.server, style="dim"),
            Text(printable(it.reason) or "–", style="dim"),
        )
    return table


def _workers(workers: Sequence[WorkerProcess], rows: int, *, by_release: bool = False) -> Table:
    table = _table("worker", "pid", *(["release"] if by_release else []), "doing")
    cut = len(workers) > rows
    for worker in workers[: rows - 1 if cut else rows]:
        again = f"  (restarted {worker.restarts}×)" if worker.restarts else ""
        doing = ", ".join(worker.tasks) if worker.tasks else "idle" if worker.state == "running" else worker.state
        style = "cyan" if worker.tasks else "red" if worker.state == "crashed" else "dim"
        release = [Text(printable(worker.release))] if by_release else []
        pid = str(worker.pid or "")
        table.add_row(Text(printable(worker.id)), pid, *release, Text(printable(doing) + again, style=style))
    if cut:
        table.add_row(Text(f"and {len(workers) - rows + 1} more", style="dim"), "", "")
    if not workers:
        table.add_row(Text("none", style="dim"), "", "")
    return table


def _jobs(jobs: Sequence[Job], now: datetime, *, by_release: bool = False) -> Table:
    table = _table("job", *(["release"] if by_release else []), "state", "progress", "tasks", "time")
    for job in jobs:
        end = job.ended or now
        table.add_row(
            Text(job.id, no_wrap=True),
            *([Text(printable(job.release))] if by_release else []),
            Text(job.state, style=COLOURS.get(job.state, "")),
            bar(job.progress, job.state),
            "" if job.tasks is None else f"{job.tasks_ended}/{job.tasks}",
            duration((end - job.queued).total_seconds()),
        )
    if not jobs:
        table.add_row(Text("none yet", style="dim"), "", "", "", "")
    return table


def bar(progress: float, state: State) -> RenderableType:
    """The progress of a job."""
    if state in (State.FAILED, State.CANCELLED):
        return Text("")
    colour = COLOURS.get(state, "cyan")
    return ProgressBar(total=1.0, completed=progress, width=14, complete_style=colour, finished_style=colour)


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, no_wrap=True, overflow="ellipsis")
    return table
