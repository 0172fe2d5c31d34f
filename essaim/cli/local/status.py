"""What goes on on this machine, as a value; and as plain lines, for logs and pipes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from essaim.cli.output import printable
from essaim.jobs.model import Depth, Job, State
from essaim.units import plural

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
    release: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseScene:
    """One of several releases: where it answers, its share of the requests in percent, its own queue and workers."""

    name: str
    server: str
    percent: int
    depth: Depth | None
    desired: int
    reason: str
    workers: Sequence[Process]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything at one time. `elapsed` in seconds; `desired` and `reason` are the autoscaler's.

    `depth` is None while the queue cannot be asked. `releases` is empty where there is but one; else the numbers are sums.
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
    releases: Sequence[ReleaseScene] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def running(self) -> int:
        return len(self.workers)


def summed(depths: Sequence[Depth | None]) -> Depth | None:
    """Of several queues; None while one of them cannot be asked."""
    known = [depth for depth in depths if depth is not None]
    if len(known) < len(depths):
        return None
    return Depth(sum(depth.ready for depth in known), sum(depth.in_flight for depth in known))


def line(scene: Scene) -> str:
    """The same in a line, for logs and pipes."""
    return f"{scene.elapsed:6.1f} s  {_numbers(scene.depth, scene.running, scene.desired)}"


def _numbers(depth: Depth | None, running: int, desired: int) -> str:
    waiting = "unknown" if depth is None else f"{depth.ready:>3} ready {depth.in_flight:>2} in flight"
    return f"queue {waiting}  workers {running:>2} (desired {desired})"


def changes(before: Scene | None, scene: Scene) -> list[str]:
    """Lines for what is new since the scene before: numbers that moved, jobs that began or ended."""
    found = [f"{scene.elapsed:6.1f} s  {speed(scene)}"] if before is None and scene.speed != 1 else []
    if scene.hint and (before is None or before.hint != scene.hint):
        found.append(f"{scene.elapsed:6.1f} s  {scene.hint}")
    found += _moved_releases(before, scene) if scene.releases else _moved(before, scene)
    known = {job.id: job.state for job in before.jobs} if before else {}
    for state in State:
        news = [job for job in scene.jobs if job.state is state and known.get(job.id) is not state]
        if len(news) > MOST_LINES:
            found.append(f"{scene.elapsed:6.1f} s  {len(news)} jobs {state}")
        else:
            found += [_job_line(job, scene) for job in news]
    return found


def _moved(before: Scene | None, scene: Scene) -> list[str]:
    if before and (before.depth, before.running, before.desired) == (scene.depth, scene.running, scene.desired):
        return []
    moved = before is not None and before.desired != scene.desired
    return [f"{line(scene)}{f'  {printable(scene.reason)}' if moved else ''}"]


def _moved_releases(before: Scene | None, scene: Scene) -> list[str]:
    """A line for each release of which something has changed."""
    known = {release.name: release for release in before.releases} if before else {}
    width = max(len(release.name) for release in scene.releases)
    found = []
    for it in scene.releases:
        old = known.get(it.name)
        if old and _seen(old) == _seen(it):
            continue
        why = f"  {printable(it.reason)}" if old and old.desired != it.desired else ""
        numbers = _numbers(it.depth, len(it.workers), it.desired)
        found.append(f"{scene.elapsed:6.1f} s  {it.name:<{width}} {it.percent:>3} %  {numbers}{why}")
    return found


def _seen(release: ReleaseScene) -> tuple[object, ...]:
    return release.percent, release.depth, len(release.workers), release.desired


def _job_line(job: Job, scene: Scene) -> str:
    tasks = "" if job.tasks is None else f"  {job.tasks_ended}/{plural(job.tasks, 'task')}"
    problem = "" if job.problem is None else f"  {printable(job.problem.detail)}"
    release = f"  {printable(job.release)}" if scene.releases else ""
    return f"{scene.elapsed:6.1f} s  job {job.id}{release}  {job.state}{tasks}{problem}"


def speed(scene: Scene) -> str:
    """What must be said wherever the numbers are shown."""
    return f"time runs {scene.speed:g}× faster in the autoscaler"
