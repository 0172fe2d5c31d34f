"""What a row of samples makes of a policy, for tests."""

from collections.abc import Mapping, Sequence

from essaim.autoscaler.autoscaler import Autoscaler, ScalingDecision
from essaim.autoscaler.manifest import FallbackSpec
from essaim.autoscaler.policy import Policy, default_path, load
from essaim.autoscaler.triggers import Sample
from essaim.jobs.model import Depth

OWN = load(default_path())
NEVER = 1e9
Metrics = Mapping[str, float | None]
DOWN: Metrics = {"waiting": None, "total": None, "ready": None}
HTTP_DOWN: Metrics = {"waiting": 0.0, "total": None, "ready": None}


def some(ready: int, in_flight: int = 0) -> Metrics:
    return OWN.metrics(Depth(ready, in_flight))


def polls(
    policy: Policy, looks: Sequence[tuple[float, Metrics, int]], first_sync: float = NEVER
) -> list[ScalingDecision]:
    autoscaler = Autoscaler(policy, first_sync=first_sync)
    return [autoscaler.observe(Sample(now, metrics, replicas, replicas)) for now, metrics, replicas in looks]


def counts(policy: Policy, looks: Sequence[tuple[float, Metrics, int]], first_sync: float = NEVER) -> list[int]:
    return [decision.replicas for decision in polls(policy, looks, first_sync)]


def failing(threshold: int, replicas: int, behavior: str = "static") -> FallbackSpec:
    fields = {"failureThreshold": threshold, "replicas": replicas, "behavior": behavior}
    return FallbackSpec.model_validate(fields)
