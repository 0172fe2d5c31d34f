"""Estimate from a recorded run how long its workers took to start, and the phases of the clocks of KEDA and the HPA."""

import cmath
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from essaim.autoscaler.policy import HPA_SYNC_SECONDS, Policy
from essaim.planning.errors import RecordingError
from essaim.planning.forecast import USUAL_HANDOVER
from essaim.planning.recording import Moment, Recording

SHOWN_SECONDS = 5.0
"""How often RabbitMQ's management API updates the numbers of a queue."""
USUAL_START_UP = 1.5
SHORTEST_START_UP = 0.2
ENOUGH, ENOUGH_STEPS = 20, 4  # the fewest tasks and steps for an estimate
SYNCS = [HPA_SYNC_SECONDS + hundredths / 100 for hundredths in range(40)]


@dataclass(frozen=True, slots=True)
class Calibration:
    """`workers`: their number at the `start`. `start_ups`: of each worker in order, if known; `start_up` is their median.
    The rest as in `ClusterModel` and `Simulation`.
    """

    start: float
    workers: int
    start_up: float
    start_ups: tuple[float, ...]
    handover: float
    shown_every: float
    sync_seconds: float
    phases: tuple[float, float]


def calibrate(recording: Recording, policy: Policy) -> Calibration:
    """Estimate from the run, with defaults for what it does not show. Raises `RecordingError` for a run without moments.

    Each scaling step reveals the phase of the clock behind it. A cluster shows a step when it is requested, one machine
    when the workers have started.
    """
    moments, speed = recording.moments, recording.run.speed
    if not moments:
        raise RecordingError("this run has no samples of queue and workers")
    cluster = any(moment.replicas_desired is not None for moment in moments)
    poll = policy.polling_interval / speed
    counts = [(moment.seconds, (moment.replicas_desired or 0) if cluster else moment.workers) for moment in moments]
    woken = _woken(recording)
    taken = _desired_until_there(recording) if cluster else [started - came - poll / 2 for came, started in woken]
    taken = [max(SHORTEST_START_UP, it) for it in taken]
    start_up = statistics.median(taken or [USUAL_START_UP])
    late = 0.0 if cluster else start_up
    changes = [(before, after, (at + now) / 2, now - at) for (at, before), (now, after) in pairwise(counts)]
    steps = [
        (at - counts[0][0] - (late if after > before else 0.0), gap)
        for before, after, at, gap in changes
        if _by_hpa(before, after, policy)
    ]
    seen = [(at, gap) for before, after, at, gap in changes if after > before == 0]
    wakes = seen if cluster else [(started - start_up, poll) for _, started in woken]
    sync = max(SYNCS, key=lambda it: abs(_turns(steps, it))) if cluster and len(steps) >= ENOUGH_STEPS else SYNCS[0]
    return Calibration(
        moments[0].seconds,
        counts[0][1],
        start_up,
        tuple(taken) if cluster else (),
        USUAL_HANDOVER if (handover := _handover(recording)) is None else handover,
        SHOWN_SECONDS if cluster else 0.0,
        sync,
        (_phase([(at - counts[0][0], gap) for at, gap in wakes], poll), _phase(steps, sync / speed)),
    )


def _by_hpa(before: int, after: int, policy: Policy) -> bool:
    """Whether the HPA took this step. KEDA itself only scales 0 → 1 and N → 0."""
    return before != after > (0 if before else max(1, policy.min_replicas))


def _desired_until_there(recording: Recording) -> list[float]:
    """The start-up time of each worker, in the order of requests. Times are halfway between two moments.

    Measured until the worker takes deliveries, which is later than its pod's readiness.
    """
    pairs = list(pairwise(recording.moments))
    found = []
    for at, (before, now) in enumerate(pairs):
        for count in range((before.replicas_desired or 0) + 1, (now.replicas_desired or 0) + 1):
            there = next((it for it in pairs[at:] if it[0].workers < count <= it[1].workers), None)
            found += [(there[0].seconds + there[1].seconds - before.seconds - now.seconds) / 2] if there else []
    return found


def _handover(recording: Recording) -> float | None:
    """The idle time of workers between two tasks, measured while tasks were waiting.

    None if too few tasks started then, or if jobs had several tasks, of which only the sum is recorded.
    """
    tasks = [(job.started, job.ended) for job in recording.jobs if job.started is not None and job.ended is not None]
    fresh = [now for before, now in pairwise(recording.moments) if _queue(before) != _queue(now)]
    paid = worked = 0.0
    begun = 0
    for before, now in pairwise(fresh):
        if before.workers == now.workers <= min(before.ready, now.ready):
            paid += now.workers * (now.seconds - before.seconds)
            worked += sum(max(0.0, min(end, now.seconds) - max(start, before.seconds)) for start, end in tasks)
            begun += sum(before.seconds <= start < now.seconds for start, _ in tasks)
    if begun < ENOUGH or any((job.tasks or 1) > 1 for job in recording.jobs):
        return None
    return max(0.0, (paid - worked) / begun)


def _queue(moment: Moment) -> tuple[int, ...]:
    """What a moment without an answer repeats from the one before."""
    return moment.ready, moment.in_flight, moment.workers, moment.busy


def _woken(recording: Recording) -> list[tuple[float, float]]:
    """For each wake-up: when the first job arrived while there were no workers, and when the first job started."""
    found = []
    for awake, moments in groupby(recording.moments, key=lambda moment: moment.workers > 0):
        times = [moment.seconds for moment in moments]
        came = [job.accepted for job in recording.jobs if job.accepted and times[0] < job.accepted <= times[-1] + 1]
        if not awake and came:
            begun = [job.started for job in recording.jobs if job.started and job.started > min(came)]
            found += [(min(came), min(begun))] if begun else []
    return found


def _turns(times: Sequence[tuple[float, float]], period: float) -> complex:
    """The sum of unit vectors at the events' phases (a circular mean); an event seen through a longer gap weighs less."""
    return sum(cmath.exp(2j * math.pi * at / period) / (1 + gap) for at, gap in times)


def _phase(times: Sequence[tuple[float, float]], period: float) -> float:
    """The phase of the clock at time 0, from 0 to 1, given the times of its events; 0.5 without events."""
    turns = _turns(times, period)
    return -cmath.phase(turns) / (2 * math.pi) % 1 if abs(turns) > 1e-9 else 0.5
