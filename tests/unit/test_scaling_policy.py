"""A ScaledObject is understood whole, or refused with the reason."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from essaim.autoscaler.errors import ScaledObjectError
from essaim.autoscaler.policy import Policy, default_path, load
from essaim.jobs.model import Depth

Spec = dict[str, Any]
QUEUE = {"queueName": "jobs", "host": "http://broker", "protocol": "http", "mode": "QueueLength", "value": "5"}


def policy(folder: Path, *, annotations: dict[str, str] | None = None, **spec: Any) -> Policy:
    whole = {"scaleTargetRef": {"name": "it"}, "triggers": [{"type": "rabbitmq", "metadata": QUEUE}], **spec}
    metadata = {"name": "it", "annotations": annotations or {}}
    manifest = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": whole}
    path = folder / "scaledobject.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return load(path)


def with_formula(names: tuple[str, ...] = ("a",), **modifiers: str) -> Spec:
    triggers = [{"type": "rabbitmq", "name": name, "metadata": QUEUE} for name in names]
    return {"triggers": triggers, "advanced": {"scalingModifiers": {"formula": "a", "target": "1", **modifiers}}}


def test_our_own_scaledobject_pays_busy_workers_and_one_more_for_each_five_waiting_tasks_begun() -> None:
    own = load(default_path())
    assert own.formula is not None
    for depth, workers in [
        ((0, 0), 0),
        ((1, 0), 1),
        ((6, 0), 2),
        ((60, 0), 12),
        ((5, 10), 11),
        ((1, 2), 3),
        ((0, 3), 3),
    ]:
        assert own.formula.value(own.metrics(Depth(*depth))) == workers


def test_our_own_scaledobject_says_what_the_design_says() -> None:
    own = load(default_path())
    assert (own.polling_interval, own.cooldown_period, own.min_replicas, own.max_replicas) == (1, 60, 0, 10)
    assert own.fallback is not None
    assert (own.fallback.failure_threshold, own.fallback.replicas) == (3, 2)
    assert own.fallback.behavior == "currentReplicasIfHigher"
    assert own.scale_down is not None
    assert own.scale_down.window == 60
    assert [rate.type for rate in own.scale_down.policies] == ["Pods"]
    assert (own.target, own.activation_target) == (1, 0)
    assert all(trigger.cached for trigger in own.triggers)


def test_amqp_sees_what_waits_and_http_also_what_is_in_flight_unless_told() -> None:
    assert load(default_path()).metrics(Depth(ready=4, in_flight=3)) == {"waiting": 4, "total": 7, "ready": 4}


def test_what_is_not_said_has_kedas_default(tmp_path: Path) -> None:
    plain = policy(
        tmp_path, triggers=[{"type": "rabbitmq", "metadata": {"queueName": "jobs", "host": "amqp://broker"}}]
    )
    assert (plain.polling_interval, plain.cooldown_period, plain.initial_cooldown_period) == (30, 300, 0)
    assert (plain.min_replicas, plain.max_replicas, plain.idle_replicas) == (0, 100, None)
    assert (plain.fallback, plain.formula, plain.scale_up, plain.scale_down) == (None, None, None, None)
    assert [(trigger.name, trigger.value, trigger.activation) for trigger in plain.triggers] == [("s0", 20, 0)]


def test_a_behavior_in_part_has_kubernetes_default_in_the_rest(tmp_path: Path) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 5}}
    half = policy(tmp_path, advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}})
    assert half.scale_up is not None
    assert half.scale_down is not None
    assert (half.scale_up.window, half.scale_down.window) == (0, 5)
    assert [(rate.type, rate.value, rate.period_seconds) for rate in half.scale_up.policies] == [
        ("Pods", 4, 15),
        ("Percent", 100, 15),
    ]
    assert [(rate.type, rate.value, rate.period_seconds) for rate in half.scale_down.policies] == [("Percent", 100, 15)]


def trigger(kind: str = "rabbitmq", **metadata: str) -> Spec:
    return {"triggers": [{"type": kind, "metadata": {**QUEUE, **metadata}}]}


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (trigger("kafka"), "kafka"),
        (trigger(mode="MessageRate"), "MessageRate"),
        (trigger(value="0"), "value must be specified"),
        (trigger(value="-5"), "not -5"),
        (trigger(value="many"), "many"),
        (trigger(activationValue="inf"), "inf"),
        (trigger(host="h", protocol="auto"), "protocol"),
        (trigger(protocol="amqp", excludeUnacknowledged="true"), "excludeUnacknowledged"),
        ({"triggers": []}, "spec.triggers"),
        ({"colldownPeriod": 5}, "spec.colldownPeriod"),
        ({"cooldown_period": 5}, "spec.cooldown_period"),
        ({"pollingInterval": 0}, "spec.pollingInterval"),
        ({"minReplicaCount": 5, "maxReplicaCount": 4}, "maxReplicaCount"),
        ({"minReplicaCount": 2, "idleReplicaCount": 2}, "idleReplicaCount"),
        (with_formula(("a", "a")), "name of its own"),
        (with_formula(("a", "")), "needs a name"),
        (with_formula(formula="a + b"), "'b'"),
        (with_formula(formula=""), "formula"),
        (with_formula(target="0"), "target"),
        (with_formula(metricType="Utilization"), "metricType"),
        ({**with_formula(target="1.5"), "fallback": {"failureThreshold": 1, "replicas": 1}}, "whole number"),
        ({"fallback": {"failureThreshold": 1}}, "spec.fallback.replicas"),
        ({"fallback": {"failureThreshold": 1, "replicas": 1, "behavior": "hope"}}, "behavior"),
        ({"annotations": {"autoscaling.keda.sh/paused": "true"}}, "autoscaling.keda.sh/paused"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(tmp_path: Path, spec: Spec, named: str) -> None:
    with pytest.raises(ScaledObjectError) as refused:
        policy(tmp_path, **spec)
    assert named in str(refused.value)


def test_a_number_without_quotes_is_refused_where_keda_wants_text(tmp_path: Path) -> None:
    spec = with_formula()
    spec["advanced"]["scalingModifiers"]["target"] = 1
    with pytest.raises(ScaledObjectError, match="in quotes"):
        policy(tmp_path, **spec)


@pytest.mark.parametrize(
    "text",
    ["", "[", "kind: Deployment", "a: 1\n---\nb: 2", "2024-99-99", "[" * 5000, "9" * 5000, "!!bool x", "!!timestamp x"],
)
def test_a_file_that_is_no_scaledobject_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "it.yaml"
    path.write_text(text)
    with pytest.raises(ScaledObjectError, match=r"it\.yaml"):
        load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScaledObjectError, match="nowhere"):
        load(tmp_path / "nowhere.yaml")
