"""What KEDA and its CRD refuse is refused, and what they take means the same."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from essaim.autoscaler.errors import ScaledObjectError
from essaim.autoscaler.metadata import read
from essaim.autoscaler.policy import Policy, parse
from tests.conftest import ROOT

Spec = dict[str, Any]
T = TypeVar("T")
SCHEMAS = ROOT / "tests" / "schemas"
CASES = json.loads((SCHEMAS / "keda.json").read_text())
LIMITS = ("needs message rates", "the HPA needs a target", "write the host here")
"""Reasons of our own, for what KEDA takes and one machine or the HPA does not."""
DEFINITIONS = json.loads((SCHEMAS / "schemas.json").read_text())["definitions"]
CRD = DEFINITIONS["keda.sh/v1alpha1/ScaledObject"]["properties"]["spec"]
METADATA = {"queueName": "jobs", "host": "http://broker", "mode": "QueueLength", "value": "5"}
BASE: Spec = {
    "scaleTargetRef": {"name": "it"},
    "triggers": [{"type": "rabbitmq", "name": "a", "metadata": METADATA}],
    "pollingInterval": 30,
    "cooldownPeriod": 300,
    "initialCooldownPeriod": 0,
    "idleReplicaCount": 0,
    "minReplicaCount": 1,
    "maxReplicaCount": 100,
    "fallback": {"failureThreshold": 3, "replicas": 2, "behavior": "static"},
    "advanced": {
        "restoreToOriginalReplicaCount": False,
        "scalingModifiers": {"formula": "a", "target": "1", "activationTarget": "0", "metricType": "Value"},
        "horizontalPodAutoscalerConfig": {
            "name": "it",
            "behavior": {
                direction: {
                    "stabilizationWindowSeconds": 1,
                    "selectPolicy": "Max",
                    "tolerance": "0.1",
                    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
                }
                for direction in ("scaleUp", "scaleDown")
            },
        },
    },
}


def policy(spec: Spec) -> Policy:
    metadata = {"name": "it"}
    return parse({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}, "it")


def outcome(call: Callable[[], T]) -> tuple[T | None, str]:
    """What it gives, or why it refuses."""
    try:
        return call(), ""
    except ScaledObjectError as error:
        return None, str(error)


def changed(path: tuple[str | int, ...], value: object) -> Spec:
    whole = deepcopy(BASE)
    part: Any = whole
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return whole


def leaves(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, below in items for leaf in leaves(below, (*path, key)))]


@pytest.mark.parametrize(
    ("given_metadata", "excludes", "value", "activation"),
    [
        *(
            ({"excludeUnacknowledged": text}, True, 5, 0)
            for text in ("1", "t", "T", "TRUE", "true", "True", " true", "1\n")
        ),
        *(
            ({"excludeUnacknowledged": text}, False, 5, 0)
            for text in ("0", "f", "F", "FALSE", "false", "False", "", " ")
        ),
        *(({"value": text}, False, 5, 0) for text in ("5", " 5 ", "5.0", "5e0", "50e-1", "\u00a05")),
        ({"activationValue": "-1.5"}, False, 5, -1.5),
        ({"mode": "", "value": ""}, False, 20, 0),
        ({"mode": "Unknown", "value": "0"}, False, 20, 0),
        ({"mode": "", "value": "", "queueLength": "7"}, False, 7, 0),
        ({"queueLength": "0"}, False, 5, 0),
        ({"timeout": "1m30s", "pageSize": "1", "useRegex": "T", "authModes": "tls"}, False, 5, 0),
    ],
)
def test_metadata_that_keda_takes_means_the_same(
    given_metadata: dict[str, str], *, excludes: bool, value: float, activation: float
) -> None:
    taken = read(METADATA | given_metadata, authenticated=False)
    assert (taken.protocol, taken.excludes_unacknowledged, taken.value, taken.activation) == (
        "http", excludes, value, activation,
    )  # fmt: skip


NO_JSON_NUMBERS = (
    "+5",
    "05",
    ".5",
    "5.",
    "1_000",
    "0x10",
    "1,5",
    "inf",
    "NaN",
    "null",
    "true",
    "1e400",
    "\u0665",
    "5 m",
)


@pytest.mark.parametrize(
    ("given_metadata", "reason"),
    [
        *(({"excludeUnacknowledged": text}, 'unable to set param "excludeUnacknowledged"') for text in ("yes", "tRUE", "2")),
        *(({name: text}, f'unable to set param "{name}"') for name in ("value", "activationValue", "queueLength", "pageSize")
          for text in NO_JSON_NUMBERS),
        *(({"timeout": text}, 'unable to set param "timeout"') for text in ("1 s", "-1s", "-5", "1d", "s", "1_000")),
        ({"pageSize": "1.5"}, 'unable to set param "pageSize"'),
        ({"pageSize": "0"}, "pageSize should be 1 or greater"),
        ({"mode": ""}, "mode must be specified"),
        ({"value": ""}, "value must be specified"),
        ({"queueLength": "7"}, "queueLength is deprecated; use mode and value"),
        ({"mode": "queuelength"}, "trigger mode queuelength must be one of"),
        ({"queueName": " "}, 'missing required parameter "queueName"'),
        ({"host": ""}, 'missing required parameter "host"'),
        ({"protocol": "HTTP"}, "the protocol has to be either `amqp`, `http`, or `auto` but is `HTTP`"),
        ({"host": "kafka://h"}, "unknown host URL scheme: `kafka`"),
        ({"protocol": "amqp", "excludeUnacknowledged": "1"}, "configure excludeUnacknowledged=true only with HTTP protocol"),
        ({"host": "AMQPS://h", "useRegex": "1"}, "configure useRegex=true only with HTTP protocol"),
        ({"protocol": "amqp", "timeout": "5"}, "AMQP protocol doesn't support custom timeouts"),
        ({"protocol": "amqp", "mode": "MessageRate"}, "protocol amqp not supported; must be HTTP to use trigger mode"),
        ({"authModes": "hope"}, 'parameter "authModes,authMode" value "hope" must be one of'),
        ({"authModes": "basic,oauth"}, 'parameter "authModes,authMode" value "basic,oauth" must contain only one of'),
    ],
)  # fmt: skip
def test_metadata_that_keda_refuses_is_refused_with_its_reason(given_metadata: dict[str, str], reason: str) -> None:
    with pytest.raises(ScaledObjectError) as refused:
        read(METADATA | given_metadata, authenticated=False)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize("case", CASES, ids=[json.dumps(case["metadata"]) for case in CASES])
def test_a_trigger_reads_as_kedas_own_parser_reads_it(case: Spec) -> None:
    verdict = case["verdict"]
    ours, refusal = outcome(lambda: read(case["metadata"], authenticated=False))
    if "error" in verdict:
        assert ours is None
        reasons = [line.split(": ")[0] for line in verdict["error"].splitlines()]
        assert "panic" in reasons[0] or any(refusal.startswith(reason) for reason in reasons)
    elif ours is None:
        assert any(limit in refusal for limit in LIMITS)
    else:
        seen = (ours.protocol, ours.excludes_unacknowledged, ours.value, ours.activation)
        assert seen == tuple(verdict[key] for key in ("protocol", "excludes", "value", "activation"))
        assert verdict["mode"] == "QueueLength"


@pytest.mark.parametrize("path", leaves(BASE)[1:], ids=str)
def test_what_the_crd_refuses_is_refused(path: tuple[str | int, ...]) -> None:
    policy(BASE)
    schema = jsonschema_rs.Draft4Validator(CRD)
    assert schema.is_valid(BASE)
    for value in ("2", "yes", "true", "1", "", 2, -1, 0, 1.5, 2.5e9, True, False, "1_000", [], [1], {}, {"no": 1}):
        spec = changed(path, value)
        if not schema.is_valid(spec):
            with pytest.raises(ScaledObjectError):
                policy(spec)


@pytest.mark.parametrize(
    ("path", "value", "taken"),
    [
        (("minReplicaCount",), 2.0, 2),
        (("maxReplicaCount",), 7, 7),
        (("pollingInterval",), 1, 1),
        (("advanced", "scalingModifiers", "target"), "+.5e1", 5),
        (("advanced", "scalingModifiers", "target"), "0x1_0p-1", 8),
        (("advanced", "scalingModifiers", "activationTarget"), "-1", -1),
    ],
)
def test_what_the_crd_takes_means_the_same(path: tuple[str, ...], value: object, taken: float) -> None:
    read = policy(changed(path, value))
    names = {
        "minReplicaCount": "min_replicas",
        "maxReplicaCount": "max_replicas",
        "pollingInterval": "polling_interval",
    }
    assert getattr(read, names.get(path[-1], "activation_target" if "activ" in path[-1] else "target")) == taken


@pytest.mark.parametrize(
    "text", ["1_000", " 5", "5 ", "inf", "NaN", "1e400", "0x1p99999", "\u0665", "0x10", "0.0001", "1e300"]
)
def test_a_target_that_go_or_the_hpa_does_not_take_is_refused(text: str) -> None:
    with pytest.raises(ScaledObjectError, match="target"):
        policy(changed(("advanced", "scalingModifiers", "target"), text))


@pytest.mark.parametrize(
    ("quantity", "share"),
    [
        ("0.05", 0.05),
        ("50m", 0.05),
        (0, 0),
        (1, 1),
        ("5e-2", 0.05),
        ("1k", 1000),
        ("1Ki", 1024),
        (".5", 0.5),
        ("2E", 2e18),
    ],
)
def test_a_tolerance_is_a_quantity(quantity: object, share: float) -> None:
    path = ("advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleUp", "tolerance")
    rules = policy(changed(path, quantity)).scale_up
    assert rules is not None
    assert rules.tolerance == pytest.approx(share)


@pytest.mark.parametrize("quantity", ["-1", "", "5%", "0.1 ", "1e", "1e5m", "1_0", 0.05, True])
def test_what_is_no_tolerance_is_refused(quantity: object) -> None:
    path = ("advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleUp", "tolerance")
    with pytest.raises(ScaledObjectError, match="tolerance"):
        policy(changed(path, quantity))


def test_an_idle_count_of_0_goes_with_a_minimum_that_is_written_as_0() -> None:
    assert policy(changed(("minReplicaCount",), 0)).idle_replicas == 0
    unsaid = {key: value for key, value in BASE.items() if key != "minReplicaCount"}
    with pytest.raises(ScaledObjectError, match="idleReplicaCount"):
        policy(unsaid)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), below, max_size=3),
    max_leaves=5,
)


@given(path=st.sampled_from(leaves(BASE)[1:]), value=JSON)
def test_any_manifest_gives_a_policy_or_one_of_our_errors(path: tuple[str | int, ...], value: object) -> None:
    found, refusal = outcome(lambda: policy(changed(path, value)))
    assert bool(found) != bool(refusal)


@given(value=JSON)
def test_any_yaml_gives_a_policy_or_one_of_our_errors(value: object) -> None:
    with pytest.raises(ScaledObjectError):
        parse(value, "it")


@given(
    metadata=st.dictionaries(
        st.sampled_from([*METADATA, "timeout", "pageSize", "authModes", "useRegex"]), st.text(max_size=8)
    )
)
def test_any_metadata_is_read_or_refused(metadata: dict[str, str]) -> None:
    found, refusal = outcome(lambda: read(METADATA | metadata, authenticated=False))
    assert bool(found) != bool(refusal)


def test_an_authentication_may_hold_the_host_and_the_user() -> None:
    given_metadata = {"queueName": "jobs", "protocol": "http", "authModes": "basic"}
    assert read(given_metadata, authenticated=True).value == 20
