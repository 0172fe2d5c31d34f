"""What a ScaledObject asks for, checked and complete: one `Policy`, whoever follows it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError

from jobs.errors import SettingsError
from jobs.model import Depth
from scaling.formula import Formula
from scaling.manifest import Behavior, FallbackSpec, RatePolicy, Rules, ScaledObject, Spec, TriggerSpec

HPA_SYNC_SECONDS = 15.0
"""How often the HPA looks (`--horizontal-pod-autoscaler-sync-period`); no ScaledObject can change it."""


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
    """How fast the HPA may go in one direction. Windows and periods in seconds."""

    window: int
    select: Literal["Max", "Min", "Disabled"]
    policies: tuple[RatePolicy, ...]


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
    return installed if installed.exists() else Path(__file__).parents[1] / "platform" / "keda" / "scaledobject.yaml"


def load(path: Path) -> Policy:
    """Read a ScaledObject. Raises `SettingsError` when it is not valid, or asks for what one machine cannot do."""
    return parse(read(path), str(path))


def read(path: Path) -> object:
    """The manifest as it is written. Raises `SettingsError` when it is no YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: {error}") from error


def parse(manifest: object, name: str) -> Policy:
    """The same from a manifest that is read already; `name` is what errors call it."""
    try:
        return _policy(ScaledObject.model_validate(manifest).spec)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, at['loc'])) or 'it'}: {at['msg']}" for at in error.errors())
        raise SettingsError(f"{name} is no ScaledObject that can be followed here: {faults}") from error
    except SettingsError as error:
        raise SettingsError(f"{name}: {error}") from error


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


def _filled(given: Rules, default: Rules) -> ScalingRules:
    window = given.stabilization_window_seconds
    if window is None:
        window = default.stabilization_window_seconds
    return ScalingRules(window or 0, given.select_policy, given.policies or default.policies or ())


def _trigger(index: int, spec: TriggerSpec) -> Trigger:
    name, metadata = spec.name or f"s{index}", spec.metadata
    if spec.type != "rabbitmq":
        raise SettingsError(f"trigger {name!r} is of the kind {spec.type!r}; one machine has only rabbitmq's numbers")
    protocol = metadata.get("protocol", "auto")
    if protocol == "auto":
        protocol = metadata.get("host", "").partition("://")[0].rstrip("s")
    excludes = metadata.get("excludeUnacknowledged", "false").lower() == "true"
    if protocol not in ("amqp", "http") or (excludes and protocol == "amqp"):
        raise SettingsError(f"trigger {name!r} needs a protocol, amqp or http; only http can excludeUnacknowledged")
    return Trigger(
        name=name,
        protocol="amqp" if protocol == "amqp" else "http",
        unacknowledged=protocol == "http" and not excludes,
        cached=spec.use_cached_metrics,
        average=spec.metric_type == "AverageValue",
        value=_value(name, metadata),
        activation=_number(name, metadata.get("activationValue", "0")),
    )


def _value(name: str, metadata: dict[str, str]) -> float:
    if not metadata.keys() & {"mode", "value", "queueLength"}:
        return 20.0  # what KEDA takes when nothing is said
    if metadata.get("mode", "QueueLength") != "QueueLength":
        raise SettingsError(f"trigger {name!r} asks for the mode {metadata['mode']!r}; one machine has no rates")
    value = _number(name, metadata.get("value") or metadata.get("queueLength") or "0")
    if value <= 0:
        raise SettingsError(f"trigger {name!r} needs a value over 0")
    return value


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SettingsError(f"trigger {name!r} has {text!r} where a number belongs")
    return number
