"""What the screen shows while Essaim runs on this machine: a `Scene` in, Rich renderables or plain lines out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.output import duration, plural, printable
from jobs.model import Depth, Job, State

COLOURS = {State.RUNNING: "cyan", State.SUCCEEDED: "green", State.FAILED: "red", State.CANCELLED: "yellow"}
BARS = "▁▂▃▄▅▆▇█"
MOST_LINES = 3  # of jobs that came to the same state at once; a burst is one line
FIXED_LINES = 12  # of the screen at most, besides the rows of workers and jobs
JOBS_AT_LEAST = 3


@dataclass(frozen=True, slots=True)
class Moment:
    """Messages in the queue and worker processes at one time."""

    queue: int
    workers: int


@dataclass(frozen=True, slots=True)
class Process:
    """A worker process on this machine: `state` is the supervisor's, `tasks` what it has said it runs."""

    id: str
    state: str
    pid: int | None
    restarts: int
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything at one time. `elapsed` in seconds; `desired` and `reason` are the autoscaler's.

    `depth` is None while the queue cannot be asked.
    """

    server: str
    elapsed: float
    speed: float
    depth: Depth | None
    desired: int
    reason: str
    workers: Sequence[Process] = ()
    jobs: Sequence[Job] = ()
    history: Sequence[Moment] = ()
    hint: str = ""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def running(self) -> int:
        return len(self.workers)


def screen(scene: Scene, width: int, height: int) -> RenderableType:
    """The whole view, no taller than the terminal: some workers and jobs give way, the first ones stay."""
    room = height - FIXED_LINES
    rows = max(min(len(scene.workers), room - min(len(scene.jobs), JOBS_AT_LEAST)), 1)
    return Group(
        _title(scene),
        *([Text(scene.hint, style="cyan")] if scene.hint else []),
        Text(),
        _gauges(scene, width),
        _why(scene, width),
        Text(),
        _workers(scene.workers, rows),
        Text(),
        _jobs(scene.jobs[: max(room - rows, 1)], scene.now),
    )


def line(scene: Scene) -> str:
    """The same in a line, for logs and pipes."""
    depth = "unknown" if scene.depth is None else f"{scene.depth.ready:>3} ready {scene.depth.in_flight:>2} in flight"
    return f"{scene.elapsed:6.1f} s  queue {depth}  workers {scene.running:>2} (desired {scene.desired})"


def changes(before: Scene | None, scene: Scene) -> list[str]:
    """Lines for what is new since the scene before: numbers that moved, jobs that began or ended."""
    found = [f"{scene.elapsed:6.1f} s  {_speed(scene)}"] if before is None and scene.speed != 1 else []
    if scene.hint and (before is None or before.hint != scene.hint):
        found.append(f"{scene.elapsed:6.1f} s  {scene.hint}")
    if before is None or (before.depth, before.running, before.desired) != (scene.depth, scene.running, scene.desired):
        moved = before is not None and before.desired != scene.desired
        found.append(f"{line(scene)}{f'  {printable(scene.reason)}' if moved else ''}")
    known = {job.id: job.state for job in before.jobs} if before else {}
    for state in State:
        news = [job for job in scene.jobs if job.state is state and known.get(job.id) is not state]
        if len(news) > MOST_LINES:
            found.append(f"{scene.elapsed:6.1f} s  {len(news)} jobs {state}")
        else:
            found += [_job_line(job, scene) for job in news]
    return found


def _job_line(job: Job, scene: Scene) -> str:
    tasks = "" if job.tasks is None else f"  {job.tasks_ended}/{plural(job.tasks, 'task')}"
    problem = "" if job.problem is None else f"  {printable(job.problem.detail)}"
    return f"{scene.elapsed:6.1f} s  job {job.id}  {job.state}{tasks}{problem}"


def spark(values: Sequence[int], width: int, top: int) -> str:
    """The values as bars, squeezed to `width` columns by their maxima; 0 is a space and `top` the full height."""
    if not values or width < 1:
        return ""
    if len(values) > width:
        edges = [index * len(values) // width for index in range(width + 1)]
        values = [max(values[start:end]) for start, end in pairwise(edges)]
    return "".join(
        BARS[min((value * len(BARS) - 1) // max(top, 1), len(BARS) - 1)] if value > 0 else " " for value in values
    )


def _title(scene: Scene) -> Text:
    title = Text.assemble(("essaim", "bold"), f"  {scene.server}  ", (f"up {duration(scene.elapsed)}", "dim"))
    if scene.speed != 1:
        title.append(f"\n{_speed(scene)}", style="yellow")
    return title


def _speed(scene: Scene) -> str:
    return f"time runs {scene.speed:g}× faster in the autoscaler"


def _gauges(scene: Scene, width: int) -> Table:
    depth = scene.depth
    numbers = ("unknown", "") if depth is None else (f"{depth.ready} ready", f"{depth.in_flight} in flight")
    grid = Table.grid(padding=(0, 2, 0, 0))
    for column_width in (7, 10, 12):
        grid.add_column(min_width=column_width, no_wrap=True)
    grid.add_row(Text("queue", style="bold"), *numbers, _curve(scene, "queue", "magenta", width - 35))
    numbers = (f"{scene.running} running", f"{scene.desired} desired")
    grid.add_row(Text("workers", style="bold"), *numbers, _curve(scene, "workers", "green", width - 35))
    return grid


def _curve(scene: Scene, of: str, colour: str, width: int) -> Text:
    values = [getattr(moment, of) for moment in scene.history]
    return Text(spark(values, width, max(values, default=0)), style=colour, no_wrap=True)


def _why(scene: Scene, width: int) -> Text:
    why = Text.assemble(("why      ", "bold"), (printable(scene.reason) or "–", "dim"), no_wrap=True)
    why.truncate(width, overflow="ellipsis")
    return why


def _workers(workers: Sequence[Process], rows: int) -> Table:
    table = _table("worker", "pid", "doing")
    cut = len(workers) > rows
    for worker in workers[: rows - 1 if cut else rows]:
        again = f"  (restarted {worker.restarts}×)" if worker.restarts else ""
        doing = ", ".join(worker.tasks) if worker.tasks else "idle" if worker.state == "running" else worker.state
        style = "cyan" if worker.tasks else "red" if worker.state == "crashed" else "dim"
        table.add_row(Text(printable(worker.id)), str(worker.pid or ""), Text(printable(doing) + again, style=style))
    if cut:
        table.add_row(Text(f"and {len(workers) - rows + 1} more", style="dim"), "", "")
    if not workers:
        table.add_row(Text("none", style="dim"), "", "")
    return table


def _jobs(jobs: Sequence[Job], now: datetime) -> Table:
    table = _table("job", "state", "progress", "tasks", "time")
    for job in jobs:
        end = job.ended or now
        table.add_row(
            Text(job.id, no_wrap=True),
            Text(job.state, style=COLOURS.get(job.state, "")),
            bar(job.progress, job.state),
            "" if job.tasks is None else f"{job.tasks_ended}/{job.tasks}",
            duration((end - job.created).total_seconds()),
        )
    if not jobs:
        table.add_row(Text("none yet", style="dim"), "", "", "", "")
    return table


def bar(progress: float, state: State) -> RenderableType:
    """How far a job is."""
    if state in (State.FAILED, State.CANCELLED):
        return Text("")
    colour = COLOURS.get(state, "cyan")
    return ProgressBar(total=1.0, completed=progress, width=14, complete_style=colour, finished_style=colour)


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, no_wrap=True, overflow="ellipsis")
    return table
