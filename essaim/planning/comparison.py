"""Simulate a recorded run, and measure how far prediction and recording differ."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise, repeat

from essaim.autoscaler.policy import parse
from essaim.planning.arrivals import recorded
from essaim.planning.calibration import calibrate
from essaim.planning.errors import RecordingError
from essaim.planning.forecast import ClusterModel, Forecast
from essaim.planning.outcome import quantile, times_to_result
from essaim.planning.recording import Recording
from essaim.planning.simulation import Simulation

EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Comparison:
    """`replicas_error`: the mean absolute difference of the workers, as a share of the peak; `p95` in seconds, both times."""

    forecast: Forecast
    start_up: float
    peak: int
    replicas_error: float
    p95_recorded: float
    p95_predicted: float

    @property
    def p95_error(self) -> float:
        """Relative to the recorded p95; below 0, the prediction was too optimistic."""
        return self.p95_predicted / self.p95_recorded - 1


def compare(recording: Recording) -> Comparison:
    """Simulate the run with its ScaledObject, arrivals, work, start-up times and clocks.

    Raises `RecordingError` for a run in which nothing happened.
    """
    if not any(moment.workers for moment in recording.moments):
        raise RecordingError("this run has no workers")
    load, policy, run = recorded(recording), parse(recording.run.scaledobject, "the run's ScaledObject"), recording.run
    known = calibrate(recording, policy)
    model = ClusterModel(
        partial(next, chain(known.start_ups, repeat(known.start_up))),
        handover=known.handover,
        shown_every=known.shown_every,
        concurrency=run.concurrency,
        sync_seconds=known.sync_seconds,
        speed=run.speed,
    )
    simulation = Simulation(
        policy, model, load.arrivals(0), start=known.start, phases=known.phases, workers=known.workers, every=EVERY
    )
    forecast = simulation.run(recording.moments[-1].seconds)
    peak = max(moment.workers for moment in recording.moments)
    return Comparison(
        forecast,
        known.start_up,
        peak,
        _distance(recording, forecast) / peak,
        quantile(sorted(times_recorded(recording)), 0.95),
        quantile(sorted(times_to_result(forecast, load)), 0.95),
    )


def times_recorded(recording: Recording) -> list[float]:
    """Seconds from submission to the end of each job that succeeded."""
    return [seconds for job in recording.jobs if (seconds := job.time_to_result) is not None]


def _distance(recording: Recording, forecast: Forecast) -> float:
    """The mean absolute difference in workers over time; each recorded moment holds until the next."""
    times = [moment.seconds for moment in forecast.moments]
    differences = spans = 0.0
    for moment, following in pairwise(recording.moments):
        predicted = forecast.moments[max(0, bisect_right(times, moment.seconds) - 1)]
        differences += abs(moment.workers - predicted.workers) * (following.seconds - moment.seconds)
        spans += following.seconds - moment.seconds
    return differences / spans if spans else 0.0
