"""What a simulation has to know besides the ScaledObject, and what comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass

from essaim.autoscaler.policy import HPA_SYNC_SECONDS
from essaim.planning.recording import Moment

USUAL_HANDOVER = 0.01
"""Seconds; measured as 6 ms on SQLite."""


@dataclass(frozen=True, slots=True)
class House:
    """What no ScaledObject says. Times in seconds.

    `start_up` gives each worker's time from being wanted to taking its first delivery. `drain`: from being told to leave
    to having left. `handover`: from one task's end to the next one's start. `split`: what the first delivery of a
    job of several tasks takes. `shown_every`: how often the management API looks at the queue; 0: all is known at once,
    as on one machine. `sync_seconds`: the HPA's period; a busy one counts its 15 s from when it is done. `speed`:
    simulated seconds per real second in the autoscaler.
    """

    start_up: Callable[[], float]
    drain: float = 0.3
    handover: float = USUAL_HANDOVER
    split: float = 0.05
    shown_every: float = 0.0
    concurrency: int = 1
    sync_seconds: float = HPA_SYNC_SECONDS
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would happen. `arrived` and `ended` are in the order of arrivals; `ended` is infinite for a job that has not.

    Worker-seconds count from being wanted to having left, start-up and drain included; `busy_seconds` only tasks.
    """

    moments: tuple[Moment, ...]
    arrived: list[float]
    ended: list[float]
    worker_seconds: float
    busy_seconds: float
    given_back: int


def exact(seconds: float) -> float:
    """The nearest time from which periods can be counted without error.

    Whether the HPA's last step was a whole period ago, or a little less, decides how far the next one may go.
    """
    return round(seconds * 64) / 64
