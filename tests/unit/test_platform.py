"""platform/: every folder and combination builds, is valid, and runs without privileges, whatever is combined."""

import json
import re
import shutil
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from tests.conftest import ROOT
from tests.unit.platform_builds import PLATFORM, Object, build, containers, copy, one, pods, run

SCHEMAS = json.loads((ROOT / "tests" / "schemas" / "schemas.json").read_text())
COMPONENTS = sorted(it.parent.name for it in PLATFORM.glob("components/*/kustomization.yaml"))
OBSERVABILITY = ["observability", *(f"observability/{it}" for it in ("collector", "loki", "grafana", "pod-logs"))]
OVERLAYS = ["overlays/local", "overlays/local/release", "overlays/production", "overlays/production/release.example"]
FOLDERS = ["accounts", "api", "worker", "warm-nodes", *OBSERVABILITY, *OVERLAYS]
BUILDS = [*FOLDERS, "observability with tempo", *(f"local with {it}" for it in COMPONENTS)]


def build_named(name: str, folder: Path) -> list[Object]:
    """A folder of platform/, or the local overlay with nothing but that component (and all it stands on) added."""
    platform = copy(folder)
    if name.startswith("local with "):
        overlay = platform / "overlays" / "local" / "kustomization.yaml"
        content = yaml.safe_load(overlay.read_text())
        wanted = [f"../../components/{name.removeprefix('local with ')}", "../../components/release"]
        content["components"] = sorted(set(wanted), key=lambda it: it.endswith("release"))
        overlay.write_text(yaml.safe_dump(content))
        name = "overlays/local"
    if name == "observability with tempo":
        (platform / "traced").mkdir()
        content = {"resources": ["../observability"], "components": ["../observability/tempo"]}
        (platform / "traced" / "kustomization.yaml").write_text(yaml.safe_dump(content))
        name = "traced"
    return build(platform / name)


def add(folder: Path, **entries: str) -> None:
    """Put an entry in front of each of these lists of a kustomization."""
    file = folder / "kustomization.yaml"
    content = yaml.safe_load(file.read_text())
    for name, entry in entries.items():
        content[name].insert(0, entry)
    file.write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module", params=BUILDS)
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    return build_named(request.param, tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def validators() -> dict[str, jsonschema_rs.Draft4Validator]:
    definitions = SCHEMAS["definitions"]
    return {
        kind: jsonschema_rs.Draft4Validator({"$ref": f"#/definitions/{_escaped(name)}", "definitions": definitions})
        for kind, name in SCHEMAS["kinds"].items()
    }


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def test_every_object_is_valid(objects: list[Object], validators: dict[str, jsonschema_rs.Draft4Validator]) -> None:
    faults = [
        f"{it['kind']} {it['metadata']['name']}: {error.message} at {'/'.join(map(str, error.instance_path))}"
        for it in objects
        for error in validators[f"{it['apiVersion']}/{it['kind']}"].iter_errors(it)
    ]
    assert not faults, "\n".join(faults)


def test_a_misspelt_field_is_not_valid(validators: dict[str, jsonschema_rs.Draft4Validator]) -> None:
    for kind, file in {
        "apps/v1/Deployment": "worker/deployment.yaml",
        "keda.sh/v1alpha1/ScaledObject": "worker/scaledobject.yaml",
        "serving.knative.dev/v1/Service": "api/service.yaml",
    }.items():
        content = yaml.safe_load((PLATFORM / file).read_text())
        assert validators[kind].is_valid(content)
        content["spec"]["polingInterval"] = 1
        assert not validators[kind].is_valid(content)


def test_every_folder_is_built_alone() -> None:
    """But for components, which only an overlay can take."""
    folders = {
        str(file.parent.relative_to(PLATFORM))
        for file in PLATFORM.rglob("kustomization.yaml")
        if "kind: Component" not in file.read_text()
    }
    assert folders - {"overlays/production/release"} == set(FOLDERS)


def test_no_pod_has_privileges(objects: list[Object]) -> None:
    """What the profile `restricted` of the Pod Security Standards wants, and a root that cannot be written to."""
    for name, pod in pods(objects).items():
        if name == "pod-logs":
            continue
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}, name
        assert all(
            volume.keys() & {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}
            for volume in pod.get("volumes", [])
        )
        assert pod["enableServiceLinks"] is False, name
        for container in pod["containers"]:
            context = {**pod.get("securityContext", {}), **container["securityContext"]}
            assert context["runAsNonRoot"] is True, name
            assert context["runAsUser"] > 0, name
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_who_reads_the_nodes_log_files_can_do_nothing_else(tmp_path: Path) -> None:
    """It must be root and see a folder of the node: in a namespace of its own, to read, without any capability."""
    objects = build(copy(tmp_path) / "observability" / "pod-logs")
    (pod,) = pods(objects).values()
    (container,) = pod["containers"]
    assert {it["metadata"].get("namespace", it["metadata"]["name"]) for it in objects} == {"essaim-pod-logs"}
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
    assert paths == {"logs": "/var/log/pods"}
    assert all(mount["readOnly"] for mount in container["volumeMounts"] if mount["name"] in paths)


def test_all_objects_with_the_label_of_a_release_have_it_in_their_names(objects: list[Object]) -> None:
    """Each overlay says its release in two lines, for names and for labels; they must agree."""
    for it in objects:
        if release := it["metadata"].get("labels", {}).get("app.kubernetes.io/version"):
            assert it["metadata"]["name"].endswith(f"-{release}")


def test_only_those_get_a_token_who_ask_the_api_server(objects: list[Object]) -> None:
    with_token = {name for name, pod in pods(objects).items() if pod["automountServiceAccountToken"]}
    jobs = {"essaim-credentials-dev", "essaim-rollout-dev"}
    assert with_token <= {*(f"essaim-worker{it}" for it in ("", "-dev", "-v1")), "otel-collector", *jobs}
    for account in (it for it in objects if it["kind"] == "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_roles_name_what_they_allow(objects: list[Object]) -> None:
    """Nothing for the whole cluster, no `*`, and Secrets by name."""
    assert not [it for it in objects if it["kind"].startswith("Cluster")]
    for rule in (rule for it in objects if it["kind"] == "Role" for rule in it["rules"]):
        assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
        assert rule["resources"] != ["secrets"] or rule["verbs"] == ["create"] or rule["resourceNames"]


def test_a_rollout_in_the_cluster_may_change_its_own_service_and_nothing_else(tmp_path: Path) -> None:
    objects = build_named("local with rollout", tmp_path)
    rules = one(objects, "Role", "essaim-rollout")["rules"]
    changing = [rule for rule in rules if set(rule["verbs"]) - {"get"}]
    service = one(objects, "KnativeService")["metadata"]["name"]
    assert [(it["resources"], it["resourceNames"], it["verbs"]) for it in changing] == [
        (["services"], [service], ["get", "patch"])
    ]
    job = one(objects, "Job", "essaim-rollout")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "essaim-rollout"
    assert container["command"][:5] == ["python", "-m", "essaim.cli", "rollout", "start"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": one(objects, "ConfigMap", "essaim-settings")["metadata"]["name"]}}
    ]


def test_other_options_of_a_rollout_in_the_cluster_are_patched_in_by_its_label(tmp_path: Path) -> None:
    platform = copy(tmp_path)
    overlay = platform / "overlays" / "local" / "kustomization.yaml"
    add(overlay.parent, components="../../components/rollout")
    content = yaml.safe_load(overlay.read_text())
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["--steps", "20,100"]}]
    target = {"kind": "Job", "labelSelector": "app.kubernetes.io/component=rollout"}
    content["patches"].append({"target": target, "patch": yaml.safe_dump(patch)})
    overlay.write_text(yaml.safe_dump(content))
    job = one(build(overlay.parent), "Job", "essaim-rollout")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["--steps", "20,100"]


def test_every_image_has_a_version(objects: list[Object]) -> None:
    for container in containers(objects):
        assert re.search(r":[\w.-]+$|@sha256:[0-9a-f]{64}$", container["image"]), container["image"]
        assert not container["image"].endswith(":latest")


def test_every_container_says_what_it_needs_at_least_and_at_most(objects: list[Object]) -> None:
    for container in containers(objects):
        resources = container["resources"]
        assert resources["requests"].keys() == {"cpu", "memory"}
        assert "memory" in resources["limits"]


def test_no_secret_is_in_git() -> None:
    for file in PLATFORM.rglob("*.yaml"):
        assert "kind: Secret" not in file.read_text().splitlines()


def test_production_refuses_to_build_without_its_inputs(tmp_path: Path) -> None:
    platform = copy(tmp_path)
    (platform / "overlays/production/release/inputs.yaml").unlink()
    done = run(platform / "overlays/production")
    assert done.returncode != 0
    assert "inputs.yaml" in done.stderr
    shutil.rmtree(platform / "overlays/production/release")
    done = run(platform / "overlays/production")
    assert done.returncode != 0
    assert "production/release" in done.stderr


@pytest.mark.parametrize("name", ["image", "digest", "amqp", "management"])
def test_production_refuses_to_build_without_any_of_its_inputs(name: str, tmp_path: Path) -> None:
    platform = copy(tmp_path)
    inputs = platform / "overlays/production/release/inputs.yaml"
    inputs.write_text(re.sub(rf"^  {name}: .*\n", "", inputs.read_text(), flags=re.M))
    done = run(platform / "overlays/production")
    assert done.returncode != 0
    assert f"data.{name}" in done.stderr


def test_production_refuses_to_build_without_a_release(tmp_path: Path) -> None:
    platform = copy(tmp_path)
    file = platform / "overlays/production/release/kustomization.yaml"
    content = yaml.safe_load(file.read_text())
    del content["labels"]
    file.write_text(yaml.safe_dump(content))
    done = run(platform / "overlays/production")
    assert done.returncode != 0
    assert "app.kubernetes.io/version" in done.stderr


def test_production_takes_images_by_digest_and_two_of_what_must_be(tmp_path: Path) -> None:
    platform = copy(tmp_path)
    add(platform / "overlays/production", components="../../components/rollout")
    add(platform / "overlays/production/release", resources="../../../warm-nodes")
    objects = build(platform / "overlays/production")
    assert {it["name"] for it in containers(objects)} == {"api", "worker", "warm", "rollout"}
    assert {it["image"] for it in containers(objects)} == {f"registry.example.com/essaim@sha256:{'0' * 64}"}
    assert one(objects, "ScaledObject")["spec"]["minReplicaCount"] == 2
    annotations = one(objects, "KnativeService")["spec"]["template"]["metadata"]["annotations"]
    assert int(annotations["autoscaling.knative.dev/min-scale"]) == 2
