"""The pictures of a recorded run: load, queue, workers, time to result, and what the processes took."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Literal

from cli.charts import Point, Series, chart
from cli.figures import time_to_result
from cli.measured import Measured

BINS = 90  # bars of the load
MIB = 1024 * 1024
GAP_SECONDS = 4.0
STATES = {"succeeded": 1, "failed": 4, "cancelled": 5}  # and their colours


def pictures(run: Measured) -> list[str]:
    jobs, moments, end = run.recording.jobs, run.recording.moments, _end(run)
    rate = "jobs per second"
    workers = [
        Series("alive", _workers(run), "area"),
        Series("busy", [(it.seconds, it.busy) for it in moments], "step"),
    ]
    for name, colour in (("replicas_desired", 3), ("replicas_ready", 4), ("hpa_desired", 6)):
        points = [(it.seconds, getattr(it, name)) for it in moments]
        if any(value is not None for _, value in points):
            workers.append(Series(name.replace("_", " "), points, "step", dashed=True, colour=colour))
    p95 = run.figures.result.p95 if run.figures.result else None
    return [
        chart(
            "Load",
            rate,
            [
                Series("submitted", _rate([job.submitted for job in jobs], end), "area"),
                Series("ended", _rate([job.ended for job in jobs if job.ended is not None], end), "step"),
            ],
            end=end,
        ),
        chart(
            "Queue",
            "tasks",
            [
                Series("waiting", [(it.seconds, it.ready) for it in moments], "area"),
                Series("in flight", [(it.seconds, it.in_flight) for it in moments], "step"),
            ],
            end=end,
        ),
        chart("Workers", "what is between the lines is paid for, and idle", workers, end=end),
        chart(
            "Time to result",
            "seconds, by time of submission",
            [Series(state, points, "dots", colour=STATES.get(state, 6)) for state, points in _by_state(run)],
            lines=[(p95, f"p95 {p95:.1f} s")] if p95 else (),
            end=end,
        ),
    ]


def footprints(run: Measured) -> list[str]:
    """Memory and CPU, where the processes were on the machine that recorded."""
    if not run.footprints:
        return []
    memory, cpu, end = [], [], _end(run)
    for role, rows in groupby(sorted(run.footprints, key=lambda it: (it.role, it.seconds)), key=lambda it: it.role):
        several = role == "worker"
        looks = [list(look) for _, look in groupby(rows, key=lambda it: round(it.seconds))]
        largest = [(look[0].seconds, max(it.memory for it in look) / MIB) for look in looks]
        together = [(look[0].seconds, sum(it.cpu for it in look)) for look in looks]
        memory.append(Series("largest worker" if several else role, _with_gaps(largest)))
        cpu.append(Series("workers" if several else role, _with_gaps(together)))
    return [
        chart("Memory", "MiB resident", memory, end=end),
        chart("CPU", "cores, all workers together", cpu, end=end),
    ]


def _with_gaps(points: Iterable[tuple[float, float]]) -> list[Point]:
    """Nothing between two looks that are far apart: there was no such process."""
    found: list[Point] = []
    for seconds, value in points:
        if found and seconds - found[-1][0] > GAP_SECONDS:
            found.append((found[-1][0], None))
        found.append((seconds, value))
    return found


def compared(runs: Sequence[tuple[str, Measured]]) -> list[str]:
    """The same of each, over each other: the first in the first colour, the second in the second."""
    last = max(_end(run) for _, run in runs)

    def over(title: str, unit: str, points: Callable[[Measured], list[Point]], dots: bool = False) -> str:
        kind: Literal["dots", "step"] = "dots" if dots else "step"
        return chart(title, unit, [Series(name, points(run), kind) for name, run in runs], end=last)

    return [
        over("Queue", "tasks, waiting and running", _queue),
        over("Workers", "alive", _workers),
        over("Idle workers", "alive, and without a task", _idle),
        over("Time to result", "seconds, by time of submission", _results, dots=True),
    ]


def _queue(run: Measured) -> list[Point]:
    return [(it.seconds, it.ready + it.in_flight) for it in run.recording.moments]


def _workers(run: Measured) -> list[Point]:
    return [(it.seconds, it.workers) for it in run.recording.moments]


def _idle(run: Measured) -> list[Point]:
    return [(it.seconds, max(0, it.workers - it.busy)) for it in run.recording.moments]


def _results(run: Measured) -> list[Point]:
    return [(job.submitted, time_to_result(job)) for job in run.recording.jobs]


def _by_state(run: Measured) -> list[tuple[str, list[Point]]]:
    found: dict[str, list[Point]] = {}
    for job in run.recording.jobs:
        if job.ended is not None:
            found.setdefault(job.state, []).append((job.submitted, job.ended - job.submitted))
    return sorted(found.items(), key=lambda it: list(STATES).index(it[0]) if it[0] in STATES else 9)


def _rate(times: Iterable[float], end: float) -> list[Point]:
    """How many a second, in bins that are whole seconds."""
    width = max(1.0, float(-(-int(end) // BINS)))
    counts = [0] * (int(end / width) + 1)
    for seconds in times:
        counts[min(len(counts) - 1, max(0, int(seconds / width)))] += 1
    return [(place * width, count / width) for place, count in enumerate(counts)]


def _end(run: Measured) -> float:
    moments = [it.seconds for it in run.recording.moments]
    return max([1.0, *moments, *(job.ended for job in run.recording.jobs if job.ended is not None)])
