"""How often a rollout errs: simulated rollouts of equal and of worse releases, judged by the same `judge` as real ones.

`essaim rollout odds` shows the table of docs/rollout.md for any rules, from fewer rollouts. Seeded, and plain Python:
it runs wherever a rollout does.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from statistics import NormalDist, fmean, median, quantiles

from essaim.rollout.model import STEPS
from essaim.rollout.verdict import Decision, Outcomes, Rules, judge, next_look

OLD_JOBS = 1000
"""So many of the old release's jobs are compared with. A real rollout compares with all, which says hardly more."""
PATIENCE = 40
"""A step is left undecided when so many times `min_jobs` have ended and it still waits. A real one goes on waiting."""
_POOL = 1 << 16


@dataclass(frozen=True)
class Case:
    """A new release compared with an old one. `baseline`: the share of the old one's jobs that fail."""

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


class SyntheticJobs:
    """SimulatedRollout jobs of one release in one window, out of shuffled pools at places that are drawn by lot: a thousand
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


@dataclass(frozen=True)
class SimulatedRollout:
    """One rollout. WAIT: it was left undecided; ADVANCE: the new release got all requests."""

    decision: Decision
    step: int
    looks: int
    touched: int
    """How many jobs of the new release had ended by then, and what share that is of all jobs since the rollout began."""
    share: float


@dataclass(frozen=True)
class Odds:
    """The ends of all rollouts of one case."""

    case: Case
    rollouts: Sequence[SimulatedRollout]

    def share(self, decision: Decision, step: int | None = None) -> float:
        return fmean(each.decision is decision and step in (None, each.step) for each in self.rollouts)


def simulate(rules: Rules, steps: Sequence[int] = STEPS, rollouts: int = 10_000, seed: int = 1) -> Iterator[Odds]:
    """`rollouts` in all, as many of each case."""
    every = cases(rules)
    for case in every:
        rng = random.Random(f"{seed} {case}")  # noqa: S311 — dice, no secret
        yield Odds(case, [roll_out(case, rules, steps, rng) for _ in range(max(1, rollouts // len(every)))])


def roll_out(case: Case, rules: Rules, steps: Sequence[int], rng: random.Random) -> SimulatedRollout:
    looks, touched, all_jobs = 0, 0, 0.0
    # With all requests it is promoted, and has no other beside it.
    judged = [percent for percent in steps if percent < 100]
    for step, percent in enumerate(judged):
        new, old = SyntheticJobs(case, rng, new=True), SyntheticJobs(case, rng, new=False)
        decision = Decision.WAIT
        while decision is Decision.WAIT and new.count < PATIENCE * rules.min_jobs:
            new.grow(next_look(new.count, rules))
            old.grow(min(OLD_JOBS, new.count * (100 - percent) // percent))
            looks += 1
            decision = judge(old.outcomes, new.outcomes, rules, looks).decision
        touched += new.count
        all_jobs += new.count * 100 / percent
        if decision is not Decision.ADVANCE:
            return SimulatedRollout(decision, step, looks, touched, touched / all_jobs)
    return SimulatedRollout(Decision.ADVANCE, len(judged), looks, touched, touched / all_jobs)


COLUMNS = (
    "new release",
    "rolled back",
    "of these at the first step",
    "promoted",
    "undecided",
    "its jobs by then",
    "of all jobs",
    "looks",
)


def row(odds: Odds) -> tuple[str, ...]:
    """As `COLUMNS` names them. The last three are median and 95th percentile of the rollouts that ended as most did."""
    back, promoted, undecided = (odds.share(end) for end in (Decision.ROLL_BACK, Decision.ADVANCE, Decision.WAIT))
    usual = Decision.ROLL_BACK if back > promoted else Decision.ADVANCE
    rollouts = [each for each in odds.rollouts if each.decision is usual]
    return (
        odds.case.name,
        _percent(back),
        _percent(odds.share(Decision.ROLL_BACK, 0) / back) if back else "–",
        _percent(promoted),
        _percent(undecided),
        _middle_and_most([each.touched for each in rollouts], "{:,.0f}"),
        _middle_and_most([each.share * 100 for each in rollouts], "{:.1f}", " %"),
        _middle_and_most([each.looks for each in rollouts], "{:.0f}"),
    )


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"


def _middle_and_most(values: Sequence[float], form: str, unit: str = "") -> str:
    if len(values) < 2:
        return "–"
    most = quantiles(values, n=20, method="inclusive")[-1]
    return f"{form.format(median(values))} / {form.format(most)}{unit}"
