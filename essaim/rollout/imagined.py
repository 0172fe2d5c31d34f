"""Releases and jobs that never were: what `essaim.rollout.simulation` plays with."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from statistics import NormalDist

from essaim.rollout.verdict import Outcomes, Rules

_POOL = 1 << 16


@dataclass(frozen=True)
class Case:
    """What a new release is like, beside an old one of which the share `baseline` of jobs fails."""

    name: str
    baseline: float = 0.01
    increase: float = 0.0
    slowdown: float = 1.0
    spread: float = 1.0
    """Standard deviation of the logarithm of durations. With 1, one job in twenty takes over five times the median."""


def cases(rules: Rules) -> tuple[Case, ...]:
    """Equal ones, those at the very limits, worse ones."""
    every = (
        *(
            Case(f"{baseline * 100:g} → {(baseline + more) * 100:g} % fail", baseline, more)
            for more in (0.0, rules.max_failure_increase, 0.05, 0.2)
            for baseline in (0.0, 0.01, 0.05)
        ),
        *(Case(f"{factor:g}× slower", slowdown=factor) for factor in (1 + rules.max_slowdown, 1.5, 2.0)),
        Case("2× slower, sizes further apart", slowdown=2.0, spread=2.0),
    )
    return tuple(dict.fromkeys(every))  # a limit may be that of a worse one


class Jobs:
    """Those of one release in one window that have ended, out of shuffled pools at places that are drawn by lot: a thousand
    durations cost no more than a few, and pools hold exactly what the case says.
    """

    def __init__(self, case: Case, rng: random.Random, *, new: bool) -> None:
        self._rng = rng
        self._failures = _failures(min(1.0, case.baseline + (case.increase if new else 0)))
        self._durations = _durations(case.spread, case.slowdown if new else 1.0)
        self.count = self._failed = 0
        self._seconds: list[float] = []

    def grow(self, count: int) -> None:
        """To so many in all."""
        more = count - self.count
        if more <= 0:
            return
        start = self._rng.randrange(_POOL - more)
        failed = self._failures[start + more] - self._failures[start]
        start = self._rng.randrange(_POOL - more)
        self._seconds += self._durations[start : start + more - failed]
        self._seconds.sort()  # judging sorts, and is faster where that is done
        self._failed += failed
        self.count = count

    @property
    def outcomes(self) -> Outcomes:
        return Outcomes(self.count - self._failed, self._failed, tuple(self._seconds))


@cache
def _failures(rate: float) -> Sequence[int]:
    """How many of the first 0, 1, 2 … jobs fail, of a pool of which this share does."""
    fails = [number < round(rate * _POOL) for number in range(_POOL)]
    random.Random(rate).shuffle(fails)  # noqa: S311 — dice, no secret
    return [0, *accumulate(fails)]


@cache
def _durations(spread: float, slowdown: float) -> Sequence[float]:
    """Lognormal ones, of median `slowdown` seconds."""
    normal = NormalDist(math.log(slowdown), spread)
    seconds = [math.exp(normal.inv_cdf((number + 0.5) / _POOL)) for number in range(_POOL)]
    random.Random(slowdown).shuffle(seconds)  # noqa: S311 — dice, no secret
    return seconds
