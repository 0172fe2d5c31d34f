"""How far a rollout is: what its annotation on the Service holds, so that anybody can take it up."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

from essaim.rollout.errors import RolloutError, RolloutRefusedError
from essaim.rollout.verdict import Rules

if TYPE_CHECKING:  # start-up time
    from pydantic import TypeAdapter

STEPS = (1, 5, 25, 50, 100)


class Phase(StrEnum):
    """Where it stands. The last three are the end of the question; what is left then is cleaning up."""

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


@dataclass(frozen=True)
class Plan:
    """What was asked for. `image` None: somebody else applies the release. `timeout`: seconds, for whatever is waited for."""

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
        """What the new release is meant to get of the requests."""
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
