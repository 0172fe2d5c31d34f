"""From the options of `start` to a plan for the Service as it is."""

import re
from dataclasses import dataclass

from essaim.cli.errors import CliError
from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.model import Plan
from essaim.rollout.service import JsonObject, choose_tag, revision_name, serving_revision
from essaim.rollout.verdict import Rules

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class StartOptions:
    """The options of `start`, parsed."""

    release: str
    image: str | None
    steps: tuple[int, ...]
    rules: Rules
    timeout: float
    shadow: int
    requeue_failed: bool
    retire: bool

    def serves(self, service: JsonObject) -> bool:
        return serving_revision(service) == revision_name(service, self.release)

    def plan(self, service: JsonObject) -> Plan:
        """For the Service as it is. Raises `RolloutRefusedError` where that cannot be rolled out."""
        name = service["metadata"]["name"]
        serving = serving_revision(service)
        if not serving.startswith(f"{name}-"):
            raise RolloutRefusedError(f"revision {serving!r} is not named {name}-RELEASE: of which release is it?")
        tag, own_tag = choose_tag(service, revision_name(service, self.release), self.release)
        return Plan(
            serving.removeprefix(f"{name}-"),
            self.release,
            tag,
            own_tag,
            self.image,
            self.steps,
            self.rules,
            self.timeout,
            self.shadow,
            self.requeue_failed,
            self.retire,
        )


def share(text: str) -> float:
    """`1%` and `0.01` are the same."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10:
        raise CliError(f"{text!r} is no share: write 1% or 0.01")
    return value


def shares(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part.strip().removesuffix("%")) for part in text.split(","))
    except ValueError:
        raise CliError(f"{text!r} are no steps: write whole percents, 1,5,25,50,100") from None


def seconds(text: str) -> float:
    """`90`, `90s`, `15m`, `2h`."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip()):
        return float(found[1]) * UNITS[found[2] or "s"]
    raise CliError(f"{text!r} is no time: write 90s, 15m or 2h")
