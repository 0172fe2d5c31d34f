"""A KEDA ScaledObject as it is written: the fields, defaults and bounds of its CRD (KEDA 2.21), nothing decided yet.

A field that is not here is refused, not ignored: one machine must not quietly do other than the cluster does.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

_FLOAT = re.compile(
    r"[+-]?(?:([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|"
    r"0[xX](?:(_?[0-9a-fA-F])+\.?|\.[0-9a-fA-F])(_?[0-9a-fA-F])*[pP][+-]?[0-9](_?[0-9])*)"
)
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]+)|([KMGTPE]i|[numkMGTPE]?))")
_FACTORS = {unit: 10.0**power for unit, power in zip("num", (-9, -6, -3), strict=True)} | {"": 1.0}
_FACTORS |= {unit: 1000.0**power for power, unit in enumerate("kMGTPE", start=1)}
_FACTORS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", start=1)}


def _whole(value: object) -> object:
    """JSON has one kind of number, so 2.0 is whole."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: object) -> float:
    """As `strconv.ParseFloat` reads it: 1_000 is no number, 0x1_0p0 is."""
    if not isinstance(value, str):
        raise ValueError("KEDA wants this number in quotes")
    if not _FLOAT.fullmatch(value):
        raise ValueError(f"{value!r} is no number as KEDA reads it")
    try:
        return float.fromhex(value.replace("_", "")) if "x" in value.lower() else float(value)
    except OverflowError as error:
        raise ValueError(f"{value!r} is out of range") from error


def _quantity(value: object) -> float:
    """A Kubernetes quantity: 0, "0.05", "50m"."""
    found = _QUANTITY.fullmatch(str(value)) if isinstance(value, str) or type(value) is int else None
    if not found:
        raise ValueError('Kubernetes wants a quantity here, such as "0.05" or "50m"')
    return float(f"{found[1]}e{found[2]}") if found[2] else float(found[1]) * _FACTORS[found[3]]


Whole = Annotated[int, BeforeValidator(_whole), Field(strict=True, lt=2**31)]
Count = Annotated[Whole, Field(ge=0)]
Flag = Annotated[bool, Field(strict=True)]
Quoted = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Quantity = Annotated[float, BeforeValidator(_quantity), Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Metadata(_Part):
    model_config = ConfigDict(extra="allow", frozen=True)
    annotations: dict[str, str] = {}

    @model_validator(mode="after")
    def _unpaused(self) -> Self:
        if orders := [key for key in self.annotations if key.startswith("autoscaling.keda.sh/")]:
            raise ValueError(f"the annotation {orders[0]} is not supported on one machine")
        return self


class ScaleTarget(_Part):
    name: str = Field(min_length=1)
    api_version: str = "apps/v1"
    kind: str = "Deployment"
    env_source_container_name: str = ""


class AuthenticationRef(_Part):
    name: str
    kind: Literal["TriggerAuthentication", "ClusterTriggerAuthentication"] = "TriggerAuthentication"


class TriggerSpec(_Part):
    type: str
    name: str = ""
    use_cached_metrics: Flag = False
    metric_type: Literal["AverageValue", "Value"] = "AverageValue"
    metadata: dict[str, str]
    authentication_ref: AuthenticationRef | None = None


class FallbackSpec(_Part):
    failure_threshold: Count
    replicas: Count
    behavior: Literal[
        "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers"
    ] = "static"


class ScalingModifiers(_Part):
    formula: str = Field(min_length=1)
    target: Quoted = Field(ge=0.001, lt=2**63 / 1000)
    activation_target: Quoted = 0.0
    metric_type: Literal["AverageValue", "Value"] = "AverageValue"


class RatePolicy(_Part):
    type: Literal["Pods", "Percent"]
    value: Whole = Field(gt=0)
    period_seconds: Whole = Field(gt=0, le=1800)


class HPAScalingRules(_Part):
    stabilization_window_seconds: Whole | None = Field(default=None, ge=0, le=3600)
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    policies: tuple[RatePolicy, ...] | None = Field(default=None, min_length=1)
    tolerance: Quantity | None = None


class Behavior(_Part):
    scale_up: HPAScalingRules = HPAScalingRules()
    scale_down: HPAScalingRules = HPAScalingRules()


class HpaConfig(_Part):
    name: str = ""
    behavior: Behavior | None = None


class Advanced(_Part):
    restore_to_original_replica_count: Flag = False
    scaling_modifiers: ScalingModifiers | None = None
    horizontal_pod_autoscaler_config: HpaConfig = HpaConfig()


class Spec(_Part):
    scale_target_ref: ScaleTarget
    polling_interval: Whole = Field(default=30, ge=1)
    initial_cooldown_period: Count = 0
    cooldown_period: Count = 300
    idle_replica_count: Count | None = None
    min_replica_count: Count = 0
    max_replica_count: Whole = Field(default=100, ge=1)
    advanced: Advanced = Advanced()
    triggers: tuple[TriggerSpec, ...] = Field(min_length=1)
    fallback: FallbackSpec | None = None

    @model_validator(mode="after")
    def _as_the_admission_webhook_says(self) -> Self:
        lowest = self.min_replica_count
        if "min_replica_count" in self.model_fields_set:
            lowest = max(lowest, 1)  # a minimum that is written as 0 counts as the HPA's minimum
        if lowest > self.max_replica_count:
            raise ValueError("minReplicaCount must not be over maxReplicaCount")
        if self.idle_replica_count is not None and self.idle_replica_count >= lowest:
            raise ValueError("idleReplicaCount must be less than minReplicaCount")
        names = [trigger.name for trigger in self.triggers if trigger.name]
        if len(set(names)) < len(names):
            raise ValueError("each trigger needs a name of its own")
        modifiers = self.advanced.scaling_modifiers
        if modifiers and len(names) < len(self.triggers):
            raise ValueError("under a formula every trigger needs a name")
        if modifiers and self.fallback and modifiers.target % 1:
            raise ValueError("KEDA ignores a fallback unless scalingModifiers.target is a whole number")
        return self


class ScaledObject(_Part):
    api_version: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: Spec
