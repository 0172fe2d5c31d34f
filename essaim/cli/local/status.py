"""The status of Essaim on this machine, and its changes as plain lines for logs and pipes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from essaim.cli.output import printable
from essaim.jobs.model import Depth, Job, State
from essaim.units import plural

MOST_LINES = 3  # for jobs that entered the same state at once; more become one line


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of messages in the queue and of worker processes, at one time."""

    queue: int
    workers: int


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker process on this machine: `state` comes from the supervisor, `tasks` from its own reports."""

    id: str
    state: str
    pid: int | None
    restarts: int
    tasks: tuple[str, ...]
    release: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseStatus:
    """One of several releases: its server, its share of the requests in percent, its queue and workers."""

    name: str
    server: str
    percent: int
    depth: Depth | None
    desired: int
    reason: str
    workers: Sequence[WorkerProcess]


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """The whole status at one time. `elapsed` in seconds; `desired` and `reason` come from the autoscaler.

    `depth` is None while the queue cannot be reached. `releases` is empty if there is only one; with several, all other
    numbers are sums.
    """

    server: str
    elapsed: float
    speed: float
    depth: Depth | None
    desired: int
    reason: str
    workers: Sequence[WorkerProcess] = ()
    jobs: Sequence[Job] = ()
    history: Sequence[Counts] = ()
    hint: str = ""
    releases: Sequence[ReleaseStatus] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def running(self) -> int:
        return len(self.workers)


def summed(depths: Sequence[Depth | None]) -> Depth | None:
    """The total depth of several queues; None while one of them cannot be reached."""
    known = [depth for depth in depths if depth is not None]
    if len(known) < len(depths):
        return None
    return Depth(sum(depth.ready for depth in known), sum(depth.in_flight for depth in known))


def line(status: LocalStatus) -> str:
    """The queue and the workers in a line."""
    return f"{status.elapsed:6.1f} s  {_numbers(status.depth, status.running, status.desired)}"


def _numbers(depth: Depth | None, running: int, desired: int) -> str:
    waiting = "unknown" if depth is None else f"{depth.ready:>3} ready {depth.in_flight:>2} in flight"
    return f"queue {waiting}  workers {running:>2} (desired {desired})"


def changes(before: LocalStatus | None, status: LocalStatus) -> list[str]:
    """A line for each change since the previous status: queue, workers, and the states of jobs."""
    found = [f"{status.elapsed:6.1f} s  {speed(status)}"] if before is None and status.speed != 1 else []
    if status.hint and (before is None or before.hint != status.hint):
        found.append(f"{status.elapsed:6.1f} s  {status.hint}")
    found += _moved_releases(before, status) if status.releases else _moved(before, status)
    known = {job.id: job.state for job in before.jobs} if before else {}
    for state in State:
        news = [job for job in status.jobs if job.state is state and known.get(job.id) is not state]
        if len(news) > MOST_LINES:
            found.append(f"{status.elapsed:6.1f} s  {len(news)} jobs {state}")
        else:
            found += [_job_line(job, status) for job in news]
    return found


def _moved(before: LocalStatus | None, status: LocalStatus) -> list[str]:
    if before and (before.depth, before.running, before.desired) == (status.depth, status.running, status.desired):
        return []
    moved = before is not None and before.desired != status.desired
    return [f"{line(status)}{f'  {printable(status.reason)}' if moved else ''}"]


def _moved_releases(before: LocalStatus | None, status: LocalStatus) -> list[str]:
    """A line for each release that has changed."""
    known = {release.name: release for release in before.releases} if before else {}
    width = max(len(release.name) for release in status.releases)
    found = []
    for it in status.releases:
        old = known.get(it.name)
        if old and _seen(old) == _seen(it):
            continue
        why = f"  {printable(it.reason)}" if old and old.desired != it.desired else ""
        numbers = _numbers(it.depth, len(it.workers), it.desired)
        found.append(f"{status.elapsed:6.1f} s  {it.name:<{width}} {it.percent:>3} %  {numbers}{why}")
    return found


def _seen(release: ReleaseStatus) -> tuple[object, ...]:
    return release.percent, release.depth, len(release.workers), release.desired


def _job_line(job: Job, status: LocalStatus) -> str:
    tasks = "" if job.tasks is None else f"  {job.tasks_ended}/{plural(job.tasks, 'task')}"
    problem = "" if job.problem is None else f"  {printable(job.problem.detail)}"
    release = f"  {printable(job.release)}" if status.releases else ""
    return f"{status.elapsed:6.1f} s  job {job.id}{release}  {job.state}{tasks}{problem}"


def speed(status: LocalStatus) -> str:
    """The notice to show with the numbers if time runs faster."""
    return f"time runs {status.speed:g}× faster in the autoscaler"
