"""Assess candidates under the same load, and choose one for a target."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from essaim.planning.arrivals import Load
from essaim.planning.candidates import Candidate
from essaim.planning.errors import PlanningError
from essaim.planning.forecast import USUAL_HANDOVER, ClusterModel, Forecast
from essaim.planning.outcome import Cause, Outcome, outcome, quantile
from essaim.planning.simulation import Simulation

GOLDEN = (math.sqrt(5) - 1) / 2
ALIKE = 1.01
PICTURE = 600  # moments in a forecast, at least


@dataclass(frozen=True, slots=True)
class ClusterAssumptions:
    """Gives each replay its `ClusterModel`: `start_up` is a distribution of times. The rest as there."""

    about: str
    start_up: Callable[[Random], float]
    handover: float = USUAL_HANDOVER
    shown_every: float = 0.0
    concurrency: int = 1

    def model(self, number: int) -> ClusterModel:
        random = Random(f"start-up {number}")  # noqa: S311 — a simulation, no secret
        return ClusterModel(
            lambda: self.start_up(random),
            handover=self.handover,
            shown_every=self.shown_every,
            concurrency=self.concurrency,
        )


@dataclass(frozen=True, slots=True)
class Assessment:
    """A candidate in several replays, with different random times and different phases of KEDA's and the HPA's clocks.

    `forecast` is that of the replay with the worst p95, which must meet the target.
    """

    candidate: Candidate
    outcomes: Sequence[Outcome]
    forecast: Forecast

    @property
    def worst(self) -> Outcome:
        return max(self.outcomes, key=lambda it: it.p95)

    @property
    def best_p95(self) -> float:
        return min(it.p95 for it in self.outcomes)

    @property
    def worker_seconds(self) -> float:
        return statistics.fmean(it.worker_seconds for it in self.outcomes)

    @property
    def waste(self) -> float:
        return statistics.fmean(it.waste for it in self.outcomes)

    @property
    def resting(self) -> float:
        return statistics.fmean(it.resting for it in self.outcomes)

    def described(self) -> dict[str, Any]:
        """For programs: None is an infinite time; `waited` has the shares of all waiting by cause."""
        worst = self.worst
        times = {"p50": worst.p50, "p95": worst.p95, "p99": worst.p99, "p95_best": self.best_p95}
        return {
            "settings": dict(self.candidate.settings),
            **{name: round(seconds, 3) if math.isfinite(seconds) else None for name, seconds in times.items()},
            "workers": max(it.peak for it in self.outcomes),
            "worker_seconds": round(self.worker_seconds, 1),
            "idle": round(self.waste, 4),
            "resting": round(self.resting, 4),
            "given_back": max(it.given_back for it in self.outcomes),
            "waited": {cause.name.lower(): round(self.waited(cause), 4) for cause in Cause},
        }

    def waited(self, cause: Cause) -> float:
        """The share of all waiting with this cause, from 0 to 1."""
        total = sum(sum(it.waited.values()) for it in self.outcomes)
        return sum(it.waited[cause] for it in self.outcomes) / total if total else 0.0


def assess(
    candidate: Candidate,
    assumptions: ClusterAssumptions,
    load: Load,
    replays: int,
    done: Callable[[], object] = lambda: None,
) -> Assessment:
    """Simulate a candidate `replays` times; `done` is called after each. Raises `PlanningError` if no job arrives."""
    found: list[tuple[Outcome, Forecast]] = []
    for number in range(replays):
        phases = ((number + 0.5) / replays, number * GOLDEN % 1)  # spread evenly, and independent of each other
        every = max(0.25, load.span / PICTURE)
        simulation = Simulation(
            candidate.policy, assumptions.model(number), load.arrivals(number), phases=phases, every=every
        )
        forecast = simulation.run()
        if not forecast.arrived:
            raise PlanningError("no job arrives in that time: plan for more jobs or a longer time")
        found.append((outcome(forecast, load, candidate.policy), forecast))
        done()
    _, forecast = max(found, key=lambda it: it[0].p95)
    return Assessment(candidate, [it for it, _ in found], forecast)


def choose(assessments: Sequence[Assessment], target: float) -> Assessment | None:
    """The cheapest candidate whose p95 meets the target in every replay; None if there is none.

    Costs and times within 1 % are equal. Of equally cheap candidates the fastest is chosen, and of equally fast ones the
    one with the fewest changes.
    """
    fit = [it for it in assessments if it.worst.p95 <= target]
    if not fit:
        return None
    most = min(it.worker_seconds for it in fit) * ALIKE
    cheap = [it for it in fit if it.worker_seconds <= most]
    longest = min(it.worst.p95 for it in cheap) * ALIKE
    quick = [it for it in cheap if it.worst.p95 <= longest]
    return min(quick, key=lambda it: (it.candidate.changes, it.worker_seconds))


def indifferent(assessments: Sequence[Assessment]) -> list[str]:
    """The tried fields that change neither p95 nor cost, whatever the values of the others."""
    names = [name for name, _ in assessments[0].candidate.settings] if assessments else []
    found = []
    for name in names:
        groups: dict[tuple[tuple[str, str], ...], list[Assessment]] = {}
        for it in assessments:
            groups.setdefault(tuple(pair for pair in it.candidate.settings if pair[0] != name), []).append(it)
        if all(len(group) > 1 and _alike(group) for group in groups.values()):
            found.append(name)
    return found


def shortest(load: Load) -> float:
    """The p95 of the time to result if every task started at once: a lower bound for any setting."""
    works = [max(works, default=0.0) for _, works in load.arrivals(0)]
    waited = load.accepting or [0.0] * len(works)
    return quantile(
        sorted(work + before for work, before in zip(works, waited, strict=True) if before is not None), 0.95
    )


def _alike(group: Sequence[Assessment]) -> bool:
    times, costs = [it.worst.p95 for it in group], [it.worker_seconds for it in group]
    return max(times) <= min(times) * ALIKE and max(costs) <= min(costs) * ALIKE
