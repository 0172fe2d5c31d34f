"""platform/ says what the code says: settings, queues, ports, Secrets, times, and how many workers."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from essaim.autoscaler.policy import default_path, load
from essaim.jobs.settings import Settings
from tests.conftest import ROOT
from tests.unit.platform_builds import Object, build, containers, copy, name_release, one

FOREIGN = {
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_METRICS_EXPORTER",
    "NAMESPACE",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}


def built(folder: Path, overlay: str, release: str) -> list[Object]:
    return build(name_release(copy(folder) / "overlays" / overlay, release))


@pytest.fixture(scope="module", params=["local", "production"])
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    return built(tmp_path_factory.mktemp("build"), request.param, "v2-1")


def test_every_variable_is_a_setting(objects: list[Object]) -> None:
    ours = [it for it in containers(objects) if it["name"] in {"api", "worker"}]
    names = {entry["name"] for container in ours for entry in container.get("env", [])}
    names |= one(objects, "ConfigMap", "essaim-settings")["data"].keys()
    settings = {f"ESSAIM_{name.upper()}" for name in Settings.model_fields}
    assert names - FOREIGN <= settings


def test_everything_of_a_release_carries_its_name(objects: list[Object]) -> None:
    worker = one(objects, "Deployment", "essaim-worker-")
    scaled = one(objects, "ScaledObject")
    labels = worker["spec"]["template"]["metadata"]["labels"]
    assert worker["metadata"]["name"] == scaled["metadata"]["name"] == "essaim-worker-v2-1"
    assert scaled["spec"]["scaleTargetRef"]["name"] == worker["metadata"]["name"]
    assert labels == worker["spec"]["selector"]["matchLabels"]
    assert labels == one(objects, "PodDisruptionBudget", "essaim-worker-v2-1")["spec"]["selector"]["matchLabels"]
    assert labels["app.kubernetes.io/version"] == "v2-1"
    assert {it["metadata"]["queueName"] for it in scaled["spec"]["triggers"]} == {"jobs.v2-1"}
    template = one(objects, "KnativeService")["spec"]["template"]
    assert template["metadata"]["name"] == "essaim-v2-1"
    for container in (template["spec"]["containers"][0], worker["spec"]["template"]["spec"]["containers"][0]):
        assert container["envFrom"][0] == {"configMapRef": {"name": "essaim-settings-v2-1"}}
    assert one(objects, "ConfigMap", "essaim-settings-v2-1")["data"]["ESSAIM_RELEASE"] == "v2-1"
    assert not [line for line in yaml.safe_dump_all(objects).splitlines() if re.search(r"[-.]dev$|: dev$", line)]


def test_another_release_adds_and_changes_nothing_that_is_there(tmp_path: Path) -> None:
    """Only the Knative Service is the same object, with another revision in it."""
    objects, other = (built(tmp_path / release, "local", release) for release in ("v2", "v3"))
    before = {(it["kind"], it["apiVersion"], it["metadata"]["name"]): it for it in objects}
    changed = [
        key
        for it in other
        if (key := (it["kind"], it["apiVersion"], it["metadata"]["name"])) in before and before[key] != it
    ]
    assert changed == [("Service", "serving.knative.dev/v1", "essaim")]
    added = {it["metadata"]["name"] for it in other} - {name for _, _, name in before}
    assert added == {"essaim-worker-v3", "essaim-settings-v3", "essaim-credentials-v3", "essaim-warm-v3"}


def test_times_and_ports_leave_room_for_the_code(objects: list[Object]) -> None:
    settings = Settings()
    worker = one(objects, "Deployment", "essaim-worker-")["spec"]["template"]["spec"]
    assert worker["terminationGracePeriodSeconds"] > settings.drain_seconds + 5  # to close connections
    api = one(objects, "KnativeService")["spec"]["template"]["spec"]
    assert api["timeoutSeconds"] > settings.stream_seconds
    assert api["timeoutSeconds"] > settings.max_wait_seconds
    assert api["containerConcurrency"] <= settings.max_open_requests
    container = api["containers"][0]
    port = container["ports"][0]["containerPort"]
    assert {"name": "ESSAIM_API_PORT", "value": str(port)} in container["env"]
    assert {container[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")} == {port}


def test_the_secrets_are_those_that_the_credentials_job_makes(tmp_path: Path) -> None:
    objects = build(copy(tmp_path) / "overlays/local")
    wanted = set(
        re.findall(r"(?:secretName: |secretRef: \{name: )([\w-]+)", yaml.safe_dump(objects, default_flow_style=None))
    )
    wanted |= {
        entry["secretRef"]["name"]
        for it in containers(objects)
        for entry in it.get("envFrom", [])
        if "secretRef" in entry
    }
    wanted |= {it["name"] for it in one(objects, "TriggerAuthentication")["spec"]["secretTargetRef"]}
    made = set(re.findall(r"vault\.have\(\"([\w-]+)\"", (ROOT / "essaim" / "cli" / "credentials.py").read_text()))
    allowed = one(objects, "Role", "essaim-credentials")["rules"][1]["resourceNames"]
    assert wanted <= made == set(allowed)


def test_a_cluster_scales_as_one_machine_does(tmp_path: Path) -> None:
    """The local overlay changes nothing of the policy; production names what it changes."""
    platform, ours = copy(tmp_path), replace(load(default_path()), formula=None)
    formula = yaml.safe_load(default_path().read_text())["spec"]["advanced"]["scalingModifiers"]
    policies = {}
    for overlay in ("local", "production"):
        scaled = one(build(platform / "overlays" / overlay), "ScaledObject")
        assert scaled["spec"]["advanced"]["scalingModifiers"] == formula
        file = tmp_path / f"{overlay}.yaml"
        file.write_text(yaml.safe_dump(scaled | {"metadata": {}}))
        policies[overlay] = replace(load(file), formula=None)
    assert policies["local"] == ours
    assert ours.scale_down is not None
    assert policies["production"] == replace(
        ours,
        idle_replicas=0,
        min_replicas=2,
        max_replicas=20,
        cooldown_period=300,
        scale_down=replace(ours.scale_down, window=300),
    )
