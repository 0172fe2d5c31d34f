"""Is the new release as good as the old one? Judged by how the jobs of both have ended: no clock, no I/O.

It looks many times, so each look gets a share of the false alarms that are allowed; the shares of all looks together, however
many there are, stay within them. What cannot be told yet is WAIT. Why these statistics: docs/decisions/0018-rollout.md.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from essaim.rollout.signs import Outcomes, Rules, Signs

__all__ = ["Decision", "Outcomes", "Rules", "Verdict", "judge", "level", "next_look", "worth_a_look"]


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
