"""The load of a simulation: the jobs of a recorded run, or a rate and bursts."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from math import inf
from random import Random

from essaim.planning.errors import PlanningError, RecordingError
from essaim.planning.recording import JobTimes, Recording

Arrival = tuple[float, tuple[float, ...]]
"""When a job arrives, and how long each of its tasks takes, in seconds."""


@dataclass(frozen=True, slots=True)
class Load:
    """`about`: a description for people. `span`: when the last job arrives.

    `arrivals(seed)` gives the arrivals in time order, always the same for the same seed. `accepting`: how long each job's
    client had waited until the job was accepted; None excludes the job from the times to result.
    """

    about: str
    span: float
    arrivals: Callable[[int], Iterator[Arrival]]
    accepting: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Pattern:
    """Random jobs at `rate` per second, and a `burst` of jobs at once, at the start and then each `every` seconds."""

    duration: float
    rate: float = 0.0
    burst: int = 0
    every: float = inf
    tasks: int = 1

    def load(self, work: Callable[[Random], float], about_work: str) -> Load:
        """`work` gives the duration of a task. Raises `PlanningError` if there are no jobs."""
        if not self.rate and not self.burst:
            raise PlanningError("no load: give --rate, --burst or --run")

        def arrivals(number: int) -> Iterator[Arrival]:
            random = Random(number)  # noqa: S311 — a simulation, no secret
            several, one = range(self.tasks), self.tasks == 1
            for at in merge(self._bursts(), self._stream(Random(number + 0.5))):  # noqa: S311
                yield at, ((work(random),) if one else tuple([work(random) for _ in several]))

        span = self.duration if self.rate or self.every <= self.duration else 0.0
        return Load(f"{self.about()}, {about_work}", span, arrivals)

    def expected(self) -> float:
        """The expected number of tasks."""
        bursts = 1 + self.duration // self.every if self.every <= self.duration else 1
        return (self.rate * self.duration + self.burst * bursts) * self.tasks

    def about(self) -> str:
        """The pattern in words."""
        again = f" every {self.every:g} s" if self.every <= self.duration else ""
        parts = [f"{self.rate:g} jobs a second"] if self.rate else []
        parts += [f"{self.burst} jobs at once{again}"] if self.burst else []
        while_ = f" for {self.duration:g} s" if self.rate or again else ""
        return f"{' and '.join(parts)}{while_}{f', {self.tasks} tasks each' if self.tasks > 1 else ''}"

    def _bursts(self) -> Iterator[float]:
        at = 0.0
        while self.burst and at <= self.duration and at < inf:
            yield from [at] * self.burst
            at += self.every

    def _stream(self, random: Random) -> Iterator[float]:
        at = 0.0
        while self.rate and (at := at + random.expovariate(self.rate)) <= self.duration:
            yield at


def recorded(recording: Recording) -> Load:
    """The accepted jobs of a run, each with its work. Raises `RecordingError` if there are none."""
    jobs = accepted(recording)
    if not jobs:
        raise RecordingError("no job was accepted in this run")
    works = [_work(job) for job in jobs]
    usual = statistics.fmean([work for work in works if work is not None] or [0.0])
    arrivals = [
        (job.accepted or 0.0, (usual if work is None else work,) * (job.tasks or 1))
        for job, work in zip(jobs, works, strict=True)
    ]
    waited = [job.accepted - job.submitted if job.accepted and job.state == "succeeded" else None for job in jobs]
    about = f"{len(jobs)} jobs as recorded ({recording.run.shape})"
    return Load(about, arrivals[-1][0], lambda _: iter(arrivals), waited)


def accepted(recording: Recording) -> list[JobTimes]:
    """The accepted jobs, in the order of their 202."""
    return sorted((job for job in recording.jobs if job.accepted is not None), key=lambda job: job.accepted or 0.0)


def _work(job: JobTimes) -> float | None:
    """How long each task of the job took; if it was cancelled, until then."""
    if job.work is not None:
        return job.work / (job.tasks or 1)
    if job.started is None:
        return 0.0 if job.ended is not None else None
    return job.ended - job.started if job.ended is not None and (job.tasks or 1) == 1 else None
