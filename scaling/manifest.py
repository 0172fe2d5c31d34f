"""A KEDA ScaledObject as it is written: the fields, defaults and bounds of its CRD (KEDA 2.21), nothing decided yet.

A field that is not here is refused, not ignored: one machine must not quietly do other than the cluster does.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Count = Annotated[int, Field(ge=0)]


def _quoted(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("KEDA wants this number in quotes")
    return value


Quoted = Annotated[float, BeforeValidator(_quoted), Field(allow_inf_nan=False)]


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
    name: str
    api_version: str = "apps/v1"
    kind: str = "Deployment"
    env_source_container_name: str = ""


class AuthenticationRef(_Part):
    name: str
    kind: Literal["TriggerAuthentication", "ClusterTriggerAuthentication"] = "TriggerAuthentication"


class TriggerSpec(_Part):
    type: str
    name: str = ""
    use_cached_metrics: bool = False
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
    target: Quoted = Field(gt=0)
    activation_target: Quoted = 0.0
    metric_type: Literal["AverageValue", "Value"] = "AverageValue"


class RatePolicy(_Part):
    type: Literal["Pods", "Percent"]
    value: int = Field(gt=0)
    period_seconds: int = Field(gt=0, le=1800)


class Rules(_Part):
    stabilization_window_seconds: int | None = Field(default=None, ge=0, le=3600)
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    policies: tuple[RatePolicy, ...] | None = Field(default=None, min_length=1)


class Behavior(_Part):
    scale_up: Rules = Rules()
    scale_down: Rules = Rules()


class HpaConfig(_Part):
    name: str = ""
    behavior: Behavior | None = None


class Advanced(_Part):
    restore_to_original_replica_count: bool = False
    scaling_modifiers: ScalingModifiers | None = None
    horizontal_pod_autoscaler_config: HpaConfig = HpaConfig()


class Spec(_Part):
    scale_target_ref: ScaleTarget
    polling_interval: int = Field(default=30, ge=1)
    initial_cooldown_period: Count = 0
    cooldown_period: Count = 300
    idle_replica_count: Count | None = None
    min_replica_count: Count = 0
    max_replica_count: int = Field(default=100, ge=1)
    advanced: Advanced = Advanced()
    triggers: tuple[TriggerSpec, ...] = Field(min_length=1)
    fallback: FallbackSpec | None = None

    @model_validator(mode="after")
    def _as_the_admission_webhook_says(self) -> Self:
        if self.min_replica_count > self.max_replica_count:
            raise ValueError("minReplicaCount must not be over maxReplicaCount")
        if self.idle_replica_count is not None and self.idle_replica_count >= self.min_replica_count:
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
