"""The key figures of a recorded run, and warnings about them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from essaim.planning.comparison import times_recorded
from essaim.planning.outcome import quantile
from essaim.planning.recording import Moment, Recording
from essaim.runs.footprint import Footprint
from essaim.runs.traffic import Traffic
from essaim.units import plural

GENERATOR, LATE = "generator", "generator, late"
BUSY_SHARE, BUSY_SECONDS = 0.8, 5.0
LATE_SECONDS = 0.1
GAP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """In seconds, by nearest rank: each is a measured value."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Figures:
    """`seconds` from the first sample to the last. Worker-seconds are counted between samples, `idle` without a task.

    `accept`: from the first try to 202; `result`: to the end of a job that succeeded. None: there was none.
    """

    jobs: int
    states: dict[str, int]
    seconds: float
    accept: Percentiles | None
    result: Percentiles | None
    peak_queue: int
    peak_workers: int
    worker_seconds: float
    idle_seconds: float

    @property
    def waste(self) -> float:
        """The share of worker-seconds that were idle."""
        return self.idle_seconds / self.worker_seconds if self.worker_seconds else 0.0


def figures_of(recording: Recording) -> Figures:
    moments, jobs = recording.moments, recording.jobs
    return Figures(
        jobs=len(jobs),
        states=dict(Counter(job.state for job in jobs)),
        seconds=moments[-1].seconds - moments[0].seconds if moments else 0.0,
        accept=percentiles(job.accepted - job.submitted for job in jobs if job.accepted is not None),
        result=percentiles(times_recorded(recording)),
        peak_queue=max((moment.ready + moment.in_flight for moment in moments), default=0),
        peak_workers=max((moment.workers for moment in moments), default=0),
        worker_seconds=_integral(moments, [moment.workers for moment in moments]),
        idle_seconds=_integral(moments, [max(0, moment.workers - moment.busy) for moment in moments]),
    )


def percentiles(values: Iterable[float]) -> Percentiles | None:
    found = sorted(values)
    if not found:
        return None
    return Percentiles(quantile(found, 0.5), quantile(found, 0.95), quantile(found, 0.99), found[-1])


def generator_share(footprints: Sequence[Footprint], since: float) -> tuple[float, float]:
    """The share of one core that the load generator used from then on: the mean, and the busiest five seconds."""
    own = [it for it in footprints if it.role == GENERATOR]
    spans = [(now.seconds - before.seconds, now) for before, now in pairwise(own) if now.seconds > since]
    if not spans:
        return 0.0, 0.0
    busiest = max(_share(spans[:end], now.seconds - BUSY_SECONDS) for end, (_, now) in enumerate(spans, 1))
    return _share(spans, since), busiest


def _share(spans: Sequence[tuple[float, Footprint]], since: float) -> float:
    within = [(seconds, it.cpu) for seconds, it in spans if it.seconds > since]
    return sum(seconds * cpu for seconds, cpu in within) / sum(seconds for seconds, _ in within)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes resident of the processes of one role: medians in the first and the last quarter of the run, and the most.

    What grows from quarter to quarter has not come to rest: it leaks, or the run was too short to tell.
    """

    role: str
    processes: int
    first: float
    last: float
    most: int


def memory_of(footprints: Sequence[Footprint], start: float, end: float) -> list[Memory]:
    """Of each role that was there in both quarters of what is between."""
    quarter, found = (end - start) / 4, []
    for role in sorted({it.role for it in footprints}):
        own = [it for it in footprints if it.role == role and start <= it.seconds <= end]
        early = [it.memory for it in own if it.seconds <= start + quarter]
        late = [it.memory for it in own if it.seconds >= end - quarter]
        if early and late:
            most = max(it.memory for it in own)
            found.append(Memory(role, len({it.pid for it in own}), median(early), median(late), most))
    return found


def warnings_of(recording: Recording, footprints: Sequence[Footprint], traffic: Sequence[Traffic]) -> list[str]:
    """Sentences about what makes the figures less reliable."""
    found = []
    _, busiest = generator_share(footprints, min((job.submitted for job in recording.jobs), default=0.0))
    if busiest >= BUSY_SHARE:
        found.append(
            f"The load generator took {busiest:.0%} of a core for {BUSY_SECONDS:.0f} seconds: it was a bottleneck "
            "itself, and times are too long and the load too low."
        )
    late = next((row.p95 for row in traffic if row.name == LATE), 0.0)
    if late >= LATE_SECONDS:
        found.append(
            f"The load generator's own loop was late by {late * 1000:.0f} ms (p95): so much of every time that it "
            "measured may be its own, or this machine's."
        )
    if gaps := recording.run.gaps:
        longest = max(end - start for start, end in gaps)
        found.append(
            f"The server was slow to tell of queue and workers: {plural(len(gaps), 'gap')} of up to {longest:.0f} s, "
            "in which their lines are what was last known."
        )
    if len(releases := recording.run.releases) > 1:
        found.append(
            f"Requests went to several releases, {' and '.join(releases)}: each look at queue and workers is of the one that "
            "answered it, so that these lines and numbers are of no single one."
        )
    return found


def gaps_in(times: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """The times, from and to, that are too long without a sample."""
    return tuple((before, now) for before, now in pairwise(times) if now - before >= GAP_SECONDS)


def _integral(moments: Sequence[Moment], values: Sequence[int]) -> float:
    """Each value holds until the next moment."""
    spans = zip(pairwise(moments), values, strict=False)  # the last moment has no next
    return sum((now.seconds - before.seconds) * value for (before, now), value in spans)
