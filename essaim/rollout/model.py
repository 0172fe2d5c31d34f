"""The state of a rollout and the steps from one state to the next. Pure: the controller reads clocks, jobs and the Service.

The state is stored in an annotation of the Service, so any process can resume the rollout.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from essaim.rollout.errors import RolloutError, RolloutRefusedError
from essaim.rollout.service import Entries, JsonObject, all_traffic_to, revision_name, split_traffic
from essaim.rollout.verdict import Rules

if TYPE_CHECKING:  # start-up time
    from pydantic import TypeAdapter

STEPS = (1, 5, 25, 50, 100)
LEASE = timedelta(seconds=45)  # of a holder: it renews three times in that; a killed one is waited for no longer
HISTORY = 40  # sentences: an annotation is no log


class Phase(StrEnum):
    """The last three are decided: only cleaning up is left."""

    PREPARING = "preparing"
    SMOKE = "smoke"
    SHADOW = "shadow"
    STEPPING = "stepping"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    ABORTED = "aborted"

    @property
    def decided(self) -> bool:
        return self in (Phase.PROMOTED, Phase.ROLLED_BACK, Phase.ABORTED)


NEXT = {Phase.PREPARING: Phase.SMOKE, Phase.SMOKE: Phase.SHADOW, Phase.SHADOW: Phase.STEPPING}


@dataclass(frozen=True)
class Plan:
    """The options of a rollout. `image` None: the release is applied by other means. `timeout`: seconds, for each wait."""

    old: str
    new: str
    tag: str
    own_tag: bool = True
    image: str | None = None
    steps: tuple[int, ...] = STEPS
    rules: Rules = field(default_factory=Rules)
    timeout: float = 900.0
    shadow: int = 0
    requeue_failed: bool = False
    retire: bool = False

    def __post_init__(self) -> None:
        """Raises `RolloutRefusedError` for steps that do not rise to 100."""
        if list(self.steps) != sorted(set(self.steps)) or not self.steps or self.steps[0] < 1 or self.steps[-1] != 100:
            raise RolloutRefusedError("steps rise from 1 or more to 100, in whole percents: 1,5,25,50,100")
        if self.old == self.new:
            raise RolloutRefusedError(f"release {self.new} gets the requests already")


@dataclass(frozen=True)
class Note:
    """A sentence of its history."""

    at: datetime
    sentence: str


@dataclass(frozen=True)
class Rollout:
    """One rollout. `index` is the step that it is at, -1 before the first; `since` when its phase or step began,
    `waiting` from when on its time-out counts. `opened` is when the first request could reach the new release.
    `holder` alone may write until `held_until`. `done`: nothing is left to clean up either.
    """

    id: str
    plan: Plan
    began: datetime
    since: datetime
    waiting: datetime
    holder: str
    held_until: datetime
    phase: Phase = Phase.PREPARING
    index: int = -1
    looks: int = 0
    opened: datetime | None = None
    smoke_job: str | None = None
    paused: bool = False
    done: bool = False
    reason: str = ""
    history: tuple[Note, ...] = ()

    @property
    def percent(self) -> int:
        """The requests that the new release should get."""
        if self.phase is Phase.STEPPING:
            return self.plan.steps[self.index]
        return 100 if self.phase is Phase.PROMOTED else 0


@cache
def _adapter() -> "TypeAdapter[Rollout]":
    from pydantic import TypeAdapter

    return TypeAdapter(Rollout)


def dump(rollout: Rollout) -> str:
    return _adapter().dump_json(rollout, exclude_defaults=True).decode()


def load(text: str) -> Rollout:
    """Raises `RolloutError` for what no `essaim rollout` has written."""
    try:
        return _adapter().validate_json(text)
    except ValueError as error:
        raise RolloutError(f"the Service's annotation is not one that a rollout has written: {error}") from error


def begin_rollout(plan: Plan, name: str, holder: str, now: datetime) -> Rollout:
    first = Rollout(name, plan, now, now, now, holder, now + LEASE)
    return add_note(first, now, f"{plan.new} is to take over from {plan.old}")


def add_note(rollout: Rollout, now: datetime, sentence: str) -> Rollout:
    return replace(rollout, history=(*rollout.history, Note(now, sentence))[-HISTORY:])


def hold_rollout(rollout: Rollout, holder: str, now: datetime, *, takeover: bool = False) -> Rollout:
    """Held by `holder` for a while. Raises `RolloutRefusedError` while somebody else holds it."""
    if rollout.holder != holder and now < rollout.held_until and not takeover:
        raise RolloutRefusedError(
            f"{rollout.holder} is rolling out {rollout.plan.new} now ({rollout.phase.value}, {rollout.percent} %). If that was "
            f"killed, it can be taken up in {(rollout.held_until - now).seconds + 1} seconds, or at once with --takeover"
        )
    return replace(rollout, holder=holder, held_until=now + LEASE)


def advance_rollout(rollout: Rollout, now: datetime, sentence: str) -> Rollout:
    """In the next phase or at the next step; after the last step it is promoted."""
    plan, phase, index = rollout.plan, rollout.phase, rollout.index
    if phase.decided:
        raise RolloutRefusedError(f"the rollout of {plan.new} has ended: {phase.value}")
    phase = NEXT.get(phase, phase)
    if phase is Phase.SHADOW and not plan.shadow:
        phase = Phase.STEPPING
    if phase is Phase.STEPPING:
        index += 1
        if plan.steps[index] == 100:
            phase = Phase.PROMOTED
    opened = rollout.opened or (now if index >= 0 else None)
    moved = replace(rollout, phase=phase, index=index, since=now, waiting=now, opened=opened, reason=sentence)
    return add_note(moved, now, f"{moved.phase.value}, {moved.percent} %: {sentence}")


def conclude_rollout(rollout: Rollout, phase: Phase, now: datetime, sentence: str) -> Rollout:
    """Ended in this phase, whatever came before."""
    if rollout.phase.decided:
        raise RolloutRefusedError(f"the rollout of {rollout.plan.new} has ended already: {rollout.phase.value}")
    ended = replace(rollout, phase=phase, since=now, waiting=now, reason=sentence, paused=False)
    return add_note(ended, now, f"{phase.value}: {sentence}")


def pause_rollout(rollout: Rollout, now: datetime, sentence: str) -> Rollout:
    """It takes no step forward, but still goes back."""
    if rollout.phase.decided:
        raise RolloutRefusedError(f"the rollout of {rollout.plan.new} has ended: {rollout.phase.value}")
    return add_note(replace(rollout, paused=True), now, sentence)


def resume_rollout(rollout: Rollout, now: datetime, sentence: str) -> Rollout:
    """Time that it was paused is not held against the new release."""
    return add_note(replace(rollout, paused=False, waiting=now), now, sentence) if rollout.paused else rollout


def position(rollout: Rollout) -> tuple[Phase, int]:
    """The part of the state that determines the split."""
    return rollout.phase, rollout.index


def is_overdue(rollout: Rollout, now: datetime) -> bool:
    """Whether it has waited for longer than is allowed."""
    return not rollout.paused and (now - rollout.waiting).total_seconds() > rollout.plan.timeout


def desired_traffic(service: JsonObject, rollout: Rollout) -> Entries:
    """The `spec.traffic` of this state."""
    plan = rollout.plan
    old, new = revision_name(service, plan.old), revision_name(service, plan.new)
    own_tag = plan.tag if plan.own_tag else None
    match rollout.phase:
        case Phase.PREPARING:
            return split_traffic(service, {old: 100})
        case Phase.PROMOTED:
            return all_traffic_to(service, new, own_tag)
        case Phase.ROLLED_BACK | Phase.ABORTED:
            return all_traffic_to(service, old, own_tag)
        case _:
            percent = rollout.percent
            return split_traffic(service, {old: 100 - percent, new: percent}, {new: plan.tag})
