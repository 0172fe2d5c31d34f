"""What goes on on this machine, as a value; and as plain lines, for logs and pipes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cli.output import plural, printable
from jobs.model import Depth, Job, State

MOST_LINES = 3  # of jobs that came to the same state at once; a burst is one line


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


def line(scene: Scene) -> str:
    """The same in a line, for logs and pipes."""
    depth = "unknown" if scene.depth is None else f"{scene.depth.ready:>3} ready {scene.depth.in_flight:>2} in flight"
    return f"{scene.elapsed:6.1f} s  queue {depth}  workers {scene.running:>2} (desired {scene.desired})"


def changes(before: Scene | None, scene: Scene) -> list[str]:
    """Lines for what is new since the scene before: numbers that moved, jobs that began or ended."""
    found = [f"{scene.elapsed:6.1f} s  {speed(scene)}"] if before is None and scene.speed != 1 else []
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


def speed(scene: Scene) -> str:
    """What must be said wherever the numbers are shown."""
    return f"time runs {scene.speed:g}× faster in the autoscaler"
