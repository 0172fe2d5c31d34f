"""Is the new release as good as the old one? Judged by how the jobs of both have ended: no clock, no I/O.

It is judged many times, so each look gets a share of the false alarms that are allowed; the shares of all looks together,
however many there are, stay within them. Undecided is WAIT. Why these statistics: docs/decisions/0018-rollout.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from statistics import median

from essaim.rollout.evidence import chance_of_durations, chance_of_failures


@dataclass(frozen=True)
class Outcomes:
    """What became of the jobs that one release took in one window of time. Cancelled jobs are in none of these.

    Both releases' jobs must be those *submitted* in the same window. By the time of their end they could not be compared: of a
    release that just began, only short jobs have ended.
    """

    succeeded: int
    failed: int
    seconds: tuple[float, ...]
    """How long each succeeded job took, from the start of its run to its end."""
    running: tuple[float, ...] = ()
    """How long each job that still runs has run so far."""

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed


@dataclass(frozen=True)
class Rules:
    min_jobs: int = 50
    """Jobs of each release that must have ended before it may advance. It may be rolled back earlier."""
    max_failure_increase: float = 0.01
    """How many more of all jobs may fail: 0.01 allows 3 % where 2 % failed."""
    max_slowdown: float = 0.20
    """How much longer jobs may take: 0.2 is a fifth."""
    false_alarms: float = 0.01
    """In how many rollouts, at most, a release that is just within both limits is rolled back nevertheless. Half of it goes
    to failures and half to durations."""
    doubt: float = 0.25
    """It advances only while a release at the limit would look at least this bad so often. More makes it wait more often, and
    lets less pass that is worse than allowed but not by much."""
    max_running: float = 0.25
    """It advances only when no larger share of its jobs still runs. What fails is tried several times first: where jobs come
    quickly, enough have ended, and all of them well, before the first could have failed. So a step lasts some jobs long."""


@dataclass(frozen=True)
class Signs:
    """Each question is answered with why, or with None."""

    old: Outcomes
    new: Outcomes
    rules: Rules

    @cached_property
    def failures(self) -> float:
        old, new = self.old, self.new
        return chance_of_failures(old.failed, old.ended, new.failed, new.ended, self.rules.max_failure_increase)

    @cached_property
    def durations(self) -> float:
        old, new = self.old, self.new
        return chance_of_durations(old.seconds, new.seconds, self.rules.max_slowdown, old.running, new.running)

    def worse(self, level: float) -> str | None:
        """Than allowed, and beyond chance."""
        if self.failures <= level:
            return f"{self.failed}; with at most {self._more} this happens {_rarely(self.failures)}"
        if self.durations <= level:
            return f"{self.took}; with at most {self._longer} this happens {_rarely(self.durations)}"
        return None

    def few(self) -> str | None:
        for name, outcomes in (("new", self.new), ("old", self.old)):
            if outcomes.ended < self.rules.min_jobs:
                missing = f"{outcomes.ended} of at least {self.rules.min_jobs} jobs of the {name} release have ended"
                return f"{missing}, {outcomes.failed} of them failed"
        return None

    def doubt(self) -> str | None:
        """Too bad to go on, and too good to go back."""
        if self.failures < self.rules.doubt:
            return f"{self.failed}; that is chance, or more than the {self._more} that are allowed"
        if self.durations < self.rules.doubt:
            return f"{self.took}; that is chance, or more than the {self._longer} that is allowed"
        return None

    def open(self) -> str | None:
        """So many still run that they could change the verdict: a job that fails is tried several times first."""
        running, every = len(self.new.running), self.new.ended + len(self.new.running)
        if running <= self.rules.max_running * every:
            return None
        return f"{running:,} of {every:,} jobs of the new release still run, and those that fail are the last to end"

    def behind(self) -> str | None:
        """More of its jobs are open than of the old release's, or one for longer than any."""
        old, new, rules = self.old, self.new, self.rules
        ours, theirs = (each.failed + len(each.running) for each in (new, old))
        of_ours, of_theirs = (each.ended + len(each.running) for each in (new, old))
        if chance_of_failures(theirs, of_theirs, ours, of_ours, rules.max_failure_increase) < rules.doubt:
            known = f"{theirs:,} of {of_theirs:,} of the old one ({_share(theirs, of_theirs)})"
            found = (
                f"{ours:,} of {of_ours:,} jobs of the new release have failed or still run ({_share(ours, of_ours)})"
            )
            return f"{found}, and {known}"
        longest, running = max((*old.seconds, *old.running), default=0.0), max(new.running, default=0.0)
        if running > longest * (1 + rules.max_slowdown):
            known = f"no job of the old one took longer than {_seconds(longest)}"
            return f"a job of the new release has been running for {_seconds(running)}, and {known}"
        return None

    @property
    def failed(self) -> str:
        old, new = self.old, self.new
        ours = f"{new.failed} of {new.ended:,} jobs of the new release failed ({_share(new.failed, new.ended)})"
        return f"{ours}, and {old.failed} of {old.ended:,} of the old one ({_share(old.failed, old.ended)})"

    @property
    def took(self) -> str:
        new, old = (_seconds(median(it.seconds)) if it.seconds else "unknown time" for it in (self.new, self.old))
        running = f", and {len(self.new.running):,} of the new release still run" if self.new.running else ""
        return f"jobs of the new release take {new}, those of the old one {old} (medians{running})"

    @property
    def _more(self) -> str:
        return f"{self.rules.max_failure_increase * 100:g} % more failures"

    @property
    def _longer(self) -> str:
        return f"{self.rules.max_slowdown * 100:g} % more time"


def _share(some: int, every: int) -> str:
    return f"{100 * some / every:.1f} %" if every else "none ended"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"


def _rarely(chance: float) -> str:
    """In one figure, and rounded so that it does not say more than it knows."""
    times = min(1 / chance, 1e9) if chance else 1e9
    size = 10 ** math.floor(math.log10(times))
    return f"less than once in {times // size * size:,.0f} times"


class Decision(StrEnum):
    WAIT = "wait"
    ADVANCE = "advance"
    ROLL_BACK = "roll back"


@dataclass(frozen=True)
class Verdict:
    decision: Decision
    sentence: str
    numbers: Mapping[str, float]


def worth_a_look(new: Outcomes, last: Verdict | None, rules: Rules) -> bool:
    """Whether there is enough more than at the last look of this step."""
    if last is None:
        return new.ended >= next_look(0, rules)
    waited_for = last.numbers["new_running"] and not new.running and new.ended >= rules.min_jobs
    return bool(waited_for) or new.ended >= next_look(int(last.numbers["new_ended"]), rules)


def next_look(seen: int, rules: Rules) -> int:
    """How many jobs of the new release must have ended for another look to be worth it, after one at `seen` of this step.

    Looking more often is not wrong, but each look makes the next ones a little less sharp.
    """
    growing = max(10, math.ceil(seen * 1.5))
    return min(growing, rules.min_jobs) if seen < rules.min_jobs else growing


def level(look: int, rules: Rules) -> float:
    """How unlikely something must be to count at this look. All looks together: half of `false_alarms`."""
    return rules.false_alarms / 2 * 10 / ((look + 9) * (look + 10))


def judge(old: Outcomes, new: Outcomes, rules: Rules, look: int) -> Verdict:
    """`look` is 1 for the first time in this rollout, and counts on over all its steps, also after a restart."""
    signs, needed = Signs(old, new, rules), level(look, rules)
    numbers = _numbers(signs) | {"look": look, "level": needed}
    if worse := signs.worse(needed):
        return Verdict(Decision.ROLL_BACK, f"Roll back: {worse}.", numbers)
    if reason := signs.few() or signs.doubt() or signs.open() or signs.behind():
        return Verdict(Decision.WAIT, f"Wait: {reason}.", numbers)
    return Verdict(Decision.ADVANCE, f"Go on: {signs.failed}; {signs.took}.", numbers)


def _numbers(signs: Signs) -> dict[str, float]:
    numbers = {"chance_of_failures": signs.failures, "chance_of_durations": signs.durations}
    for name, outcomes in (("old", signs.old), ("new", signs.new)):
        numbers[f"{name}_ended"] = outcomes.ended
        numbers[f"{name}_failed"] = outcomes.failed
        numbers[f"{name}_running"] = len(outcomes.running)
        if outcomes.seconds:
            numbers[f"{name}_median_seconds"] = median(outcomes.seconds)
    return numbers
