"""What a ScaledObject asks for, checked and complete: one `Policy`, whoever follows it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError

from essaim.autoscaler import scalars
from essaim.autoscaler.errors import ScaledObjectError
from essaim.autoscaler.formula import Formula
from essaim.autoscaler.manifest import (
    Behavior,
    FallbackSpec,
    HPAScalingRules,
    RatePolicy,
    ScaledObject,
    Spec,
    TriggerSpec,
)
from essaim.autoscaler.metadata import read as read_metadata
from essaim.jobs.model import Depth

HPA_SYNC_SECONDS = 15.0
"""How often the HPA looks (`--horizontal-pod-autoscaler-sync-period`); no ScaledObject can change it."""
TOLERANCE = 0.1
"""`--horizontal-pod-autoscaler-tolerance`, for a direction without a `tolerance` of its own."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One view of a RabbitMQ queue. `value` and `activation` count only without a formula."""

    name: str
    protocol: Literal["amqp", "http"]
    unacknowledged: bool
    cached: bool
    average: bool
    value: float
    activation: float

    def read(self, depth: Depth) -> float:
        """What this trigger would show of the queue: AMQP never sees what is in flight, HTTP sees it unless told."""
        return float(depth.ready + depth.in_flight if self.unacknowledged else depth.ready)


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """How fast the HPA may go in one direction. Windows and periods in seconds.

    `tolerance`: the share by which the metric may miss its target before the HPA acts.
    """

    window: int
    select: Literal["Max", "Min", "Disabled"]
    policies: tuple[RatePolicy, ...]
    tolerance: float = TOLERANCE


# What Kubernetes fills in (`pkg/apis/autoscaling/v2/defaults.go`, and 300 s from the controller's own flag).
_DEFAULTS = Behavior.model_validate(
    {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 300,
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        },
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """A ScaledObject with every default filled in. Times in seconds.

    `scale_up` and `scale_down` are None when the manifest gives no `behavior` at all: the HPA then follows older rules.
    """

    triggers: tuple[Trigger, ...]
    polling_interval: float
    cooldown_period: float
    initial_cooldown_period: float
    idle_replicas: int | None
    min_replicas: int
    max_replicas: int
    formula: Formula | None
    target: float
    activation_target: float
    average: bool
    fallback: FallbackSpec | None
    scale_up: ScalingRules | None
    scale_down: ScalingRules | None

    def metrics(self, depth: Depth, shown: Depth | None = None) -> dict[str, float | None]:
        """Each trigger's number for this depth. `shown`: what the management API still shows over HTTP, where that differs."""
        late = shown or depth
        return {trigger.name: trigger.read(depth if trigger.protocol == "amqp" else late) for trigger in self.triggers}


def default_path() -> Path:
    """The ScaledObject this software comes with: in the source tree, or beside this module in an installed package."""
    installed = Path(__file__).with_name("scaledobject.yaml")
    return installed if installed.exists() else Path(__file__).parents[2] / "platform" / "worker" / "scaledobject.yaml"


def load(path: Path | None = None) -> Policy:
    """Read a ScaledObject, by default ours. Raises `ScaledObjectError` if it is not valid, or one machine cannot follow it."""
    path = path or default_path()
    return parse(read(path), str(path))


def read(path: Path) -> object:
    """The manifest as it is written. Raises `ScaledObjectError` when it is no YAML."""
    try:
        return scalars.load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ScaledObjectError(f"{path}: {error}") from error


def parse(manifest: object, name: str) -> Policy:
    """The same from a manifest that is read already; `name` is what errors call it."""
    try:
        return _policy(ScaledObject.model_validate(manifest).spec)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, at['loc'])) or 'it'}: {at['msg']}" for at in error.errors())
        raise ScaledObjectError(f"{name} is no ScaledObject that can be followed here: {faults}") from error
    except ScaledObjectError as error:
        raise ScaledObjectError(f"{name}: {error}") from error


def _policy(spec: Spec) -> Policy:
    modifiers = spec.advanced.scaling_modifiers
    behavior = spec.advanced.horizontal_pod_autoscaler_config.behavior
    up, down = _rules(behavior)
    return Policy(
        triggers=tuple(_trigger(index, trigger) for index, trigger in enumerate(spec.triggers)),
        polling_interval=spec.polling_interval,
        cooldown_period=spec.cooldown_period,
        initial_cooldown_period=spec.initial_cooldown_period,
        idle_replicas=spec.idle_replica_count,
        min_replicas=spec.min_replica_count,
        max_replicas=spec.max_replica_count,
        formula=Formula(modifiers.formula, [trigger.name for trigger in spec.triggers]) if modifiers else None,
        target=modifiers.target if modifiers else 1.0,
        activation_target=modifiers.activation_target if modifiers else 0.0,
        average=not modifiers or modifiers.metric_type == "AverageValue",
        fallback=spec.fallback,
        scale_up=up,
        scale_down=down,
    )


def _rules(behavior: Behavior | None) -> tuple[ScalingRules | None, ScalingRules | None]:
    if behavior is None:
        return None, None
    return _filled(behavior.scale_up, _DEFAULTS.scale_up), _filled(behavior.scale_down, _DEFAULTS.scale_down)


def _filled(given: HPAScalingRules, default: HPAScalingRules) -> ScalingRules:
    window = given.stabilization_window_seconds
    if window is None:
        window = default.stabilization_window_seconds
    tolerance = TOLERANCE if given.tolerance is None else given.tolerance
    return ScalingRules(window or 0, given.select_policy, given.policies or default.policies or (), tolerance)


def _trigger(index: int, spec: TriggerSpec) -> Trigger:
    name = spec.name or f"s{index}"
    if spec.type != "rabbitmq":
        raise ScaledObjectError(
            f"trigger {name!r} is of the kind {spec.type!r}; one machine has only rabbitmq's numbers"
        )
    try:
        metadata = read_metadata(spec.metadata, authenticated=spec.authentication_ref is not None)
    except ScaledObjectError as error:
        raise ScaledObjectError(f"trigger {name!r}: {error}") from error
    return Trigger(
        name=name,
        protocol=metadata.protocol,
        unacknowledged=metadata.protocol == "http" and not metadata.excludes_unacknowledged,
        cached=spec.use_cached_metrics,
        average=spec.metric_type == "AverageValue",
        value=metadata.value,
        activation=metadata.activation,
    )
