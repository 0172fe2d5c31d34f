"""The key figures of a forecast: times to result, cost, and why tasks waited."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from essaim.autoscaler.policy import Policy
from essaim.planning.arrivals import Load
from essaim.planning.forecast import Forecast


class Cause(StrEnum):
    """Why a task waits."""

    ASLEEP = "no worker was awake"
    STARTING = "workers were starting"
    GROWING = "the HPA had not asked for more yet"
    FULL = "all workers that there may be were busy"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Times to result in seconds, infinite for a job that does not end. `waste`: the share of worker-seconds that were idle;
    `resting`: the share without any work at all. `waited`: task-seconds in the queue, by cause.
    """

    p50: float
    p95: float
    p99: float
    worker_seconds: float
    waste: float
    resting: float
    peak: int
    given_back: int
    waited: dict[Cause, float]


def outcome(forecast: Forecast, load: Load, policy: Policy) -> Outcome:
    times = sorted(times_to_result(forecast, load))
    return Outcome(
        p50=quantile(times, 0.5),
        p95=quantile(times, 0.95),
        p99=quantile(times, 0.99),
        worker_seconds=forecast.worker_seconds,
        waste=1 - forecast.busy_seconds / forecast.worker_seconds if forecast.worker_seconds else 0.0,
        resting=_resting(forecast) / forecast.worker_seconds if forecast.worker_seconds else 0.0,
        peak=max((moment.workers for moment in forecast.moments), default=0),
        given_back=forecast.given_back,
        waited=_waited(forecast, policy.max_replicas),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of these sorted values; NaN if there are none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def times_to_result(forecast: Forecast, load: Load) -> list[float]:
    """Seconds from each submission to the end of its job; infinite if it has none."""
    took = [ended - arrived for arrived, ended in zip(forecast.arrived, forecast.ended, strict=True)]
    if not load.accepting:
        return took
    return [time + before for time, before in zip(took, load.accepting, strict=True) if before is not None]


def _resting(forecast: Forecast) -> float:
    return sum(
        moment.workers * (following.seconds - moment.seconds)
        for moment, following in pairwise(forecast.moments)
        if not (moment.ready or moment.in_flight)
    )


def _waited(forecast: Forecast, most: int) -> dict[Cause, float]:
    waited = dict.fromkeys(Cause, 0.0)
    for moment, following in pairwise(forecast.moments):
        desired, ready = moment.replicas_desired or 0, moment.replicas_ready or 0
        if not ready:
            cause = Cause.STARTING if desired else Cause.ASLEEP
        elif ready < desired:
            cause = Cause.STARTING
        else:
            cause = Cause.GROWING if desired < most else Cause.FULL
        waited[cause] += moment.ready * (following.seconds - moment.seconds)
    return waited
