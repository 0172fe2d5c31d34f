"""How often a rollout errs: whole rollouts of equal and of worse releases, judged by the same `judge` as real ones.

`essaim rollout odds` shows the table of docs/rollout.md for any rules, from fewer rollouts. Seeded, and plain Python:
it runs wherever a rollout does.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles

from essaim.rollout.imagined import Case, Jobs, cases
from essaim.rollout.model import STEPS
from essaim.rollout.verdict import Decision, Rules, judge, next_look

OLD_JOBS = 1000
"""So many of the old release's jobs are compared with. A real rollout compares with all, which says hardly more."""
PATIENCE = 40
"""A step is left undecided when so many times `min_jobs` have ended and it still waits. A real one goes on waiting."""


@dataclass(frozen=True)
class Ended:
    """One rollout. WAIT: it was left undecided; ADVANCE: the new release got all requests."""

    decision: Decision
    step: int
    looks: int
    touched: int
    """How many jobs of the new release had ended by then, and what share that is of all jobs since the rollout began."""
    share: float


@dataclass(frozen=True)
class Odds:
    """What became of all rollouts of one case."""

    case: Case
    rollouts: Sequence[Ended]

    def share(self, decision: Decision, step: int | None = None) -> float:
        return fmean(each.decision is decision and step in (None, each.step) for each in self.rollouts)


def simulate(rules: Rules, steps: Sequence[int] = STEPS, rollouts: int = 10_000, seed: int = 1) -> Iterator[Odds]:
    """`rollouts` in all, as many of each case."""
    every = cases(rules)
    for case in every:
        rng = random.Random(f"{seed} {case}")  # noqa: S311 — dice, no secret
        yield Odds(case, [roll_out(case, rules, steps, rng) for _ in range(max(1, rollouts // len(every)))])


def roll_out(case: Case, rules: Rules, steps: Sequence[int], rng: random.Random) -> Ended:
    looks, touched, all_jobs = 0, 0, 0.0
    judged = [
        percent for percent in steps if percent < 100
    ]  # with all requests it is promoted, and has no other beside it
    for step, percent in enumerate(judged):
        new, old = Jobs(case, rng, new=True), Jobs(case, rng, new=False)
        decision = Decision.WAIT
        while decision is Decision.WAIT and new.count < PATIENCE * rules.min_jobs:
            new.grow(next_look(new.count, rules))
            old.grow(min(OLD_JOBS, new.count * (100 - percent) // percent))
            looks += 1
            decision = judge(old.outcomes, new.outcomes, rules, looks).decision
        touched += new.count
        all_jobs += new.count * 100 / percent
        if decision is not Decision.ADVANCE:
            return Ended(decision, step, looks, touched, touched / all_jobs)
    return Ended(Decision.ADVANCE, len(judged), looks, touched, touched / all_jobs)


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
