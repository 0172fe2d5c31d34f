"""The charts of a recorded run: load, queue, workers, times to result, CPU and memory."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from essaim.planning.recording import Moment
from essaim.runs.charts import Point, Series, chart
from essaim.runs.measured import Measured

BINS = 90  # bars of the load
MOST_POINTS = 300
MIB = 1024 * 1024
GAP_SECONDS = 4.0
STATES = {"succeeded": 1, "failed": 4, "cancelled": 5}  # and their colours


def pictures(run: Measured) -> list[str]:
    jobs, end = run.recording.jobs, _end(run)
    workers = [
        Series("alive", _over_time(run, lambda it: it.workers), "area"),
        Series("busy", _over_time(run, lambda it: it.busy), "step"),
    ]
    for name, points, colour in (
        ("replicas desired", _over_time(run, lambda it: it.replicas_desired), 3),
        ("replicas ready", _over_time(run, lambda it: it.replicas_ready), 4),
        ("HPA's wish", _over_time(run, lambda it: it.hpa_desired), 6),
    ):
        if any(value is not None for _, value in points):
            workers.append(Series(name, points, "step", dashed=True, colour=colour))
    load = [
        Series("submitted", _rate([job.submitted for job in jobs], end), "area"),
        Series("ended", _rate([job.ended for job in jobs if job.ended is not None], end), "step"),
    ]
    queue = [
        Series("waiting", _over_time(run, lambda it: it.ready), "area"),
        Series("in flight", _over_time(run, lambda it: it.in_flight), "step"),
    ]
    results = [Series(state, points, "dots", colour=STATES.get(state, 6)) for state, points in _by_state(run)]
    p95 = run.figures.result.p95 if run.figures.result else None
    lines = [(p95, f"p95 {p95:.1f} s")] if p95 else []
    return [
        chart("Load", "jobs per second", load, end=end),
        chart("Queue", "tasks", queue, end=end),
        chart("Workers", "what is between the lines is paid for, and idle", workers, end=end),
        chart("Time to result", "seconds, by time of submission", results, lines=lines, end=end),
    ]


def footprints(run: Measured) -> list[str]:
    """Memory and CPU, if the processes were on the recording machine."""
    if not run.footprints:
        return []
    memory, cpu, end = [], [], _end(run)
    for role, rows in groupby(sorted(run.footprints, key=lambda it: (it.role, it.seconds)), key=lambda it: it.role):
        several = role == "worker"
        looks = [(seconds, list(look)) for seconds, look in groupby(rows, key=lambda it: it.seconds)]
        largest: list[Point] = [(seconds, max(it.memory for it in look) / MIB) for seconds, look in looks]
        together: list[Point] = [(seconds, sum(it.cpu for it in look)) for seconds, look in looks]
        memory.append(Series("largest worker" if several else role, _with_gaps(largest)))
        cpu.append(Series("workers" if several else role, _with_gaps(_calm(together))))
    return [
        chart("Memory", "MiB resident", memory, end=end),
        chart("CPU", "cores, all workers together", cpu, end=end),
    ]


def _with_gaps(points: Iterable[Point]) -> list[Point]:
    """A gap between two samples that are far apart: the process did not exist."""
    found: list[Point] = []
    for seconds, value in points:
        if found and seconds - found[-1][0] > GAP_SECONDS:
            found.append((found[-1][0], None))
        found.append((seconds, value))
    return found


def compared(runs: Sequence[tuple[str, Measured]]) -> list[str]:
    """Both runs in the same charts, each in its own colour."""
    last = max(_end(run) for _, run in runs)

    def over_time(title: str, unit: str, value: Callable[[Moment], int]) -> str:
        return chart(title, unit, [Series(name, _over_time(run, value), "step") for name, run in runs], end=last)

    times = [(name, [(job.submitted, job.time_to_result) for job in run.recording.jobs]) for name, run in runs]
    results = [Series(name, points, "dots") for name, points in times]
    return [
        over_time("Queue", "tasks, waiting and running", lambda it: it.ready + it.in_flight),
        over_time("Workers", "alive", lambda it: it.workers),
        over_time("Idle workers", "alive, and without a task", lambda it: max(0, it.workers - it.busy)),
        chart("Time to result", "seconds, by time of submission", results, end=last),
    ]


def _over_time(run: Measured, value: Callable[[Moment], int | None]) -> list[Point]:
    return _calm([(it.seconds, value(it)) for it in run.recording.moments])


def _calm(points: Sequence[Point]) -> list[Point]:
    """For a long run, means of several samples: changes every second would be a solid block."""
    group = -(-len(points) // MOST_POINTS)
    if group <= 1:
        return list(points)
    parts = [points[start : start + group] for start in range(0, len(points), group)]
    known = [(part[0][0], [value for _, value in part if value is not None]) for part in parts]
    return [(seconds, sum(values) / len(values) if values else None) for seconds, values in known]


def _by_state(run: Measured) -> list[tuple[str, list[Point]]]:
    found: dict[str, list[Point]] = {}
    for job in run.recording.jobs:
        if job.ended is not None:
            found.setdefault(job.state, []).append((job.submitted, job.ended - job.submitted))
    return sorted(found.items(), key=lambda it: list(STATES).index(it[0]) if it[0] in STATES else 9)


def _rate(times: Iterable[float], end: float) -> list[Point]:
    """The rate per second, in bins of whole seconds."""
    width = max(1.0, float(-(-int(end) // BINS)))
    counts = [0] * (int(end / width) + 1)
    for seconds in times:
        counts[min(len(counts) - 1, max(0, int(seconds / width)))] += 1
    return [(place * width, count / width) for place, count in enumerate(counts)]


def _end(run: Measured) -> float:
    moments = [it.seconds for it in run.recording.moments]
    return max([1.0, *moments, *(job.ended for job in run.recording.jobs if job.ended is not None)])
