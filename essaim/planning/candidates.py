"""Variants of a ScaledObject: every combination of the values to try."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from essaim.autoscaler.policy import Policy, parse
from essaim.planning.errors import PlanningError

TASKS_PER_WORKER = "tasksPerWorker"
"""Not a field: the number by which the formula divides the waiting tasks."""
_RULES = ("advanced", "horizontalPodAutoscalerConfig", "behavior")
_PLACES: dict[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in (
            "pollingInterval", "cooldownPeriod", "initialCooldownPeriod", "minReplicaCount", "maxReplicaCount",
            "idleReplicaCount",
        )
    },
    **{name: ("advanced", "scalingModifiers", name) for name in ("formula", "target", "activationTarget")},
    "scaleUpWindow": (*_RULES, "scaleUp", "stabilizationWindowSeconds"),
    "scaleDownWindow": (*_RULES, "scaleDown", "stabilizationWindowSeconds"),
    TASKS_PER_WORKER: ("advanced", "scalingModifiers", "formula"),
}  # fmt: skip
_QUOTED = {"target", "activationTarget"}
_DIVISOR = re.compile(r"(?<=/)(\s*)(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """`settings`: the tried values, empty for the unchanged file. `changes`: how many of them differ from the file's."""

    settings: tuple[tuple[str, str], ...]
    policy: Policy
    changes: int

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.settings) or "the ScaledObject as it is"


def candidates(manifest: Any, tries: Sequence[str]) -> list[Candidate]:
    """Every combination of `FIELD=VALUE,VALUE…`. Raises `PlanningError` or `ScaledObjectError` for an invalid one."""
    parse(manifest, "the ScaledObject")
    fields = [_tried(text) for text in tries]
    names = [name for name, _ in fields]
    if len(set(names)) < len(names):
        raise PlanningError("a field has two --try; write all its values in one")
    found = []
    for values in product(*(values for _, values in fields)):
        settings = tuple(zip(names, values, strict=True))
        changed, changes = copy.deepcopy(manifest), 0
        for name, value in settings:
            changes += _put(changed["spec"], name, value)
        policy = parse(changed, ", ".join(map("=".join, settings)) or "the ScaledObject")
        found.append(Candidate(settings, policy, changes))
    return found


def _tried(text: str) -> tuple[str, list[str]]:
    name, equals, rest = text.partition("=")
    name = name.strip()
    if name not in _PLACES:
        raise PlanningError(f"{name!r} is not a field that can be tried; these are: {', '.join(_PLACES)}")
    values = [rest.strip()] if name == "formula" else [value.strip() for value in rest.split(",")]
    if not equals or not all(values):
        raise PlanningError(f"--try {text!r} has no values; write it like --try {name}=1,5,30")
    return name, list(dict.fromkeys(values))


def _put(spec: dict[str, Any], name: str, value: str) -> bool:
    """Set the value; return whether it changes."""
    *path, last = _PLACES[name]
    for key in path:
        spec = spec.setdefault(key, {})
    before = spec.get(last)
    spec[last] = _divided(spec.get(last, ""), value) if name == TASKS_PER_WORKER else _number(name, value)
    return bool(spec[last] != before)


def _number(name: str, value: str) -> str | int:
    if name == "formula" or name in _QUOTED:
        return value
    try:
        return int(value)
    except ValueError:
        raise PlanningError(f"{name} takes whole numbers, not {value!r}") from None


def _divided(formula: str, value: str) -> str:
    found = _DIVISOR.findall(formula)
    if len(found) != 1 or not re.fullmatch(r"\d+(\.\d+)?", value) or not float(value):
        raise PlanningError(
            f"{TASKS_PER_WORKER}={value} needs a number over 0, and a formula that divides by one number; "
            f"it is {formula!r}"
        )
    return _DIVISOR.sub(rf"\g<1>{value}", formula)
