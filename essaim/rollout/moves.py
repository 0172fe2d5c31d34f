"""What a look at a rollout may come to."""

from collections.abc import Callable
from dataclasses import dataclass

from essaim.rollout.model import Phase, Rollout
from essaim.rollout.service import JsonObject
from essaim.rollout.verdict import Verdict


@dataclass(frozen=True)
class Wait:
    """Nothing to do but to look again. Unless it is `patient`, waiting too long ends the rollout."""

    sentence: str
    patient: bool = False


@dataclass(frozen=True)
class Move:
    """On to the next phase or step, or to this end."""

    sentence: str
    end: Phase | None = None


@dataclass(frozen=True)
class Write:
    """To be kept, without moving."""

    sentence: str
    change: Callable[[Rollout], Rollout] = lambda rollout: rollout
    template: JsonObject | None = None


@dataclass(frozen=True)
class Judged:
    """There is a verdict on this step."""

    verdict: Verdict


@dataclass(frozen=True)
class Finished:
    """Nothing is left to do."""


Found = Wait | Move | Write | Judged | Finished
