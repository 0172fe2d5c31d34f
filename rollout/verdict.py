"""Is the new release as good as the old one? Judged by how the jobs of both have ended: no clock, no I/O.

It looks many times, so each look gets a share of the false alarms that are allowed; the shares of all looks together, however
many there are, stay within them. What cannot be told yet is WAIT. Why these statistics: docs/decisions/0018-rollout.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from rollout.evidence import chance_of_durations, chance_of_failures


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


class Decision(StrEnum):
    WAIT = "wait"
    ADVANCE = "advance"
    ROLL_BACK = "roll back"


@dataclass(frozen=True)
class Verdict:
    decision: Decision
    sentence: str
    numbers: Mapping[str, float]


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
    failures = chance_of_failures(old.failed, old.ended, new.failed, new.ended, rules.max_failure_increase)
    durations = chance_of_durations(old.seconds, new.seconds, rules.max_slowdown, old.running, new.running)
    decision, reason = _decide(old, new, rules, level(look, rules), failures, durations)
    numbers = {
        "look": look,
        "level": level(look, rules),
        "chance_of_failures": failures,
        "chance_of_durations": durations,
        "old_ended": old.ended,
        "old_failed": old.failed,
        "new_ended": new.ended,
        "new_failed": new.failed,
    }
    for name, outcomes in (("old", old), ("new", new)):
        if outcomes.seconds:
            numbers[f"{name}_median_seconds"] = median(outcomes.seconds)
    return Verdict(decision, reason, numbers)


def _decide(
    old: Outcomes, new: Outcomes, rules: Rules, needed: float, failures: float, durations: float
) -> tuple[Decision, str]:
    failed, took = _failed(old, new), _took(old, new)
    more, longer = f"{_percent(rules.max_failure_increase)} more failures", f"{_percent(rules.max_slowdown)} more time"
    if failures <= needed:
        return Decision.ROLL_BACK, f"Roll back: {failed}; with at most {more} this happens {_rarely(failures)}."
    if durations <= needed:
        return Decision.ROLL_BACK, f"Roll back: {took}; with at most {longer} this happens {_rarely(durations)}."
    for name, outcomes in (("new", new), ("old", old)):
        if outcomes.ended < rules.min_jobs:
            missing = f"{outcomes.ended} of at least {rules.min_jobs} jobs of the {name} release have ended"
            return Decision.WAIT, f"Wait: {missing}, {outcomes.failed} of them failed."
    if failures < rules.doubt:
        return Decision.WAIT, f"Wait: {failed}; that is chance, or more than the {more} that are allowed."
    if durations < rules.doubt:
        return Decision.WAIT, f"Wait: {took}; that is chance, or more than the {longer} that is allowed."
    longest, overdue = max((*old.seconds, *old.running), default=0.0), max(new.running, default=0.0)
    if overdue > longest * (1 + rules.max_slowdown):
        known = f"no job of the old one took longer than {_seconds(longest)}"
        return Decision.WAIT, f"Wait: a job of the new release has been running for {_seconds(overdue)}, and {known}."
    return Decision.ADVANCE, f"Go on: {failed}; {took}."


def _failed(old: Outcomes, new: Outcomes) -> str:
    ours = f"{new.failed} of {new.ended:,} jobs of the new release failed ({_share(new)})"
    return f"{ours}, and {old.failed} of {old.ended:,} of the old one ({_share(old)})"


def _took(old: Outcomes, new: Outcomes) -> str:
    ours, theirs = (_seconds(median(each.seconds)) if each.seconds else "unknown time" for each in (new, old))
    running = f", and {len(new.running):,} of the new release still run" if new.running else ""
    return f"jobs of the new release take {ours}, those of the old one {theirs} (medians{running})"


def _share(outcomes: Outcomes) -> str:
    return f"{outcomes.failed / outcomes.ended:.1%}".replace("%", " %") if outcomes.ended else "none ended"


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"


def _rarely(chance: float) -> str:
    """In one figure, and rounded so that it does not say more than it knows."""
    times = min(1 / chance, 1e9) if chance else 1e9
    size = 10 ** math.floor(math.log10(times))
    return f"less than once in {times // size * size:,.0f} times"
