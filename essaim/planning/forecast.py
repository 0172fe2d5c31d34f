"""The input of a simulation beside the ScaledObject, and its outcome."""

from collections.abc import Callable
from dataclasses import dataclass

from essaim.autoscaler.policy import HPA_SYNC_SECONDS
from essaim.planning.recording import Moment

USUAL_HANDOVER = 0.01
"""Seconds; measured as 6 ms on SQLite."""


@dataclass(frozen=True, slots=True)
class ClusterModel:
    """How workers and the cluster behave. Times in seconds.

    `start_up` gives each worker's time from being requested to its first delivery. `drain`: from SIGTERM to exit.
    `handover`: from the end of a task to the start of the next. `split`: how long it takes to split a job of several tasks.
    `shown_every`: how often the management API updates its numbers; 0 means at once, as on one machine. `sync_seconds`:
    the HPA's period; a busy HPA counts its 15 s from the end of the last sync. `speed`: of the autoscaler's clock.
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
    """The outcome. `arrived` and `ended` are in the order of arrivals; `ended` is infinite for a job that did not end.

    Worker-seconds include start-up and drain; `busy_seconds` only tasks.
    """

    moments: tuple[Moment, ...]
    arrived: list[float]
    ended: list[float]
    worker_seconds: float
    busy_seconds: float
    given_back: int


def exact(seconds: float) -> float:
    """The nearest time that a float represents exactly, together with its multiples.

    Whether the HPA's last step was a whole period ago, or a little less, decides how far the next one may go.
    """
    return round(seconds * 64) / 64
