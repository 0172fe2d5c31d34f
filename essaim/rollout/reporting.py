"""Reports progress: a line for the terminal, and an event for the logs."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from essaim.rollout.model import Phase, Rollout
from essaim.rollout.verdict import Verdict
from essaim.telemetry import bound, log


@dataclass(frozen=True)
class Line:
    """`percent` is what the new release is meant to get of the requests; `numbers` are those of a verdict."""

    at: datetime
    phase: str
    percent: int
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Reporter:
    """`write` gets each line. A reason to wait is reported once, until it changes."""

    write: Callable[[Line], None]
    _waiting: str = ""

    def began(self, rollout: Rollout) -> None:
        plan, steps = rollout.plan, ", ".join(map(str, rollout.plan.steps))
        with self._about(rollout):
            log("rollout.started", steps=steps, holder=rollout.holder)
        self._line(
            rollout, f"{plan.new} is to take over from {plan.old}, in steps of {steps} %; requests stay with {plan.old}"
        )

    def taken_up(self, rollout: Rollout) -> None:
        plan = rollout.plan
        with self._about(rollout):
            log("rollout.taken_up", holder=rollout.holder, phase=rollout.phase.value, percent=rollout.percent)
        self._line(
            rollout, f"{rollout.holder} goes on with {plan.new}, which is at {rollout.phase.value}, {rollout.percent} %"
        )

    def paused(self, rollout: Rollout, holder: str) -> None:
        with self._about(rollout):
            log("rollout.paused", holder=holder, percent=rollout.percent)
        self._line(rollout, f"paused: no step forward, but back when jobs fail; {rollout.plan.new} keeps its share")

    def resumed(self, rollout: Rollout, holder: str) -> None:
        with self._about(rollout):
            log("rollout.resumed", holder=holder, percent=rollout.percent)
        self._line(rollout, "resumed")

    def moved(self, rollout: Rollout, *, judged: bool = False) -> None:
        """It is in another phase or at another step; if it was `judged`, why that is has been said."""
        with self._about(rollout):
            match rollout.phase:
                case Phase.ROLLED_BACK:
                    log("rollout.rolled_back", percent=rollout.percent, reason=rollout.reason)
                case Phase.ABORTED:
                    log("rollout.aborted", percent=rollout.percent, reason=rollout.reason)
                case Phase.PROMOTED:
                    log("rollout.promoted", percent=rollout.percent, reason=rollout.reason)
                case _:
                    log("rollout.stepped", phase=rollout.phase.value, percent=rollout.percent, reason=rollout.reason)
        because = "" if judged else f": {rollout.reason}"
        self._line(rollout, _did(rollout) + because)

    def judged(self, rollout: Rollout, verdict: Verdict) -> None:
        with self._about(rollout):
            numbers: dict[str, Any] = dict(verdict.numbers)
            numbers["needed"] = numbers.pop("level", None)  # that name is the log level's
            decision, reason = verdict.decision.value, verdict.sentence
            log("rollout.judged", decision=decision, percent=rollout.percent, reason=reason, **numbers)
        self._line(rollout, verdict.sentence, verdict.numbers)

    def waits(self, rollout: Rollout, sentence: str) -> None:
        if sentence != self._waiting:
            with self._about(rollout):
                log("rollout.waiting", phase=rollout.phase.value, percent=rollout.percent, reason=sentence)
            self._line(rollout, sentence)
            self._waiting = sentence

    def did(self, rollout: Rollout, sentence: str) -> None:
        """An action within a phase is done."""
        with self._about(rollout):
            log("rollout.noted", phase=rollout.phase.value, reason=sentence)
        self._line(rollout, sentence)

    def _about(self, rollout: Rollout) -> AbstractContextManager[None]:
        return bound(rollout=rollout.id, new=rollout.plan.new, old=rollout.plan.old)

    def _line(self, rollout: Rollout, sentence: str, numbers: Mapping[str, float] | None = None) -> None:
        self._waiting = ""
        self.write(Line(datetime.now(UTC), rollout.phase.value, rollout.percent, sentence, numbers or {}))


def _did(rollout: Rollout) -> str:
    plan = rollout.plan
    match rollout.phase:
        case Phase.SMOKE:
            return f"{plan.new} gets a first job by the tag {plan.tag!r}, and no requests yet"
        case Phase.SHADOW:
            return f"{plan.shadow} finished jobs of {plan.old} run again on {plan.new}"
        case Phase.STEPPING:
            return f"{rollout.percent} % of the requests go to {plan.new}"
        case Phase.PROMOTED:
            return f"promoted, all requests go to {plan.new}"
        case Phase.ROLLED_BACK:
            return f"rolled back, all requests go to {plan.old}"
        case Phase.ABORTED:
            return f"aborted, all requests go to {plan.old}"
    return rollout.phase.value
