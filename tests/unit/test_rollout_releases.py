"""A copied release is what its overlay in `platform/` would have made of it."""

from pathlib import Path
from typing import Any

import pytest

from essaim.rollout.releases import copy_object, renamed, renames
from tests.unit.platform_builds import Object, build, copy, name_release, one

KINDS = ("Deployment", "ScaledObject", "PodDisruptionBudget", "ConfigMap")
NAMES = renames("essaim", "dev", "next")
ADDED = {
    "uid": "1",
    "resourceVersion": "7",
    "creationTimestamp": "2026-03-01T12:00:00Z",
    "generation": 3,
    "managedFields": [],
    "finalizers": ["finalizer.keda.sh"],
}


def built(folder: Path, overlay: str, release: str) -> list[Object]:
    return build(name_release(copy(folder) / "overlays" / overlay, release))


def lived(it: Object) -> Object:
    """As a cluster gives it back."""
    labels = {**it["metadata"].get("labels", {}), "scaledobject.keda.sh/name": "essaim-worker-dev"}
    annotations = {**it["metadata"].get("annotations", {}), "deployment.kubernetes.io/revision": "2"}
    annotations["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    metadata = {**it["metadata"], **ADDED, "labels": labels, "annotations": annotations}
    spec = {"spec": {**it["spec"], "replicas": 4}} if it["kind"] == "Deployment" else {}
    return {**it, **spec, "metadata": metadata, "status": {"replicas": 4}}


def bare(it: Object) -> Object:
    """Without what is empty or only says where it is."""
    metadata = {name: value for name, value in it["metadata"].items() if name != "namespace" and value != {}}
    return {**it, "metadata": metadata}


@pytest.fixture(params=["local", "production"])
def overlays(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[Object], list[Object]]:
    return built(tmp_path / "dev", request.param, "dev"), built(tmp_path / "next", request.param, "next")


def image(it: Object) -> Any:
    return it["spec"]["template"]["spec"]["containers"][0]["image"]


def test_the_pods_that_keep_nodes_warm_too(tmp_path: Path) -> None:
    old, new = (one(built(tmp_path / it, "local", it), "DaemonSet", "essaim-warm") for it in ("dev", "next"))
    live = lived(old)
    live["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = "1"
    assert bare(copy_object(live, NAMES, "next", image(new))) == bare(new)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_applying_it_would_have_made(overlays: tuple[list[Object], list[Object]], kind: str) -> None:
    name = "essaim-settings" if kind == "ConfigMap" else "essaim-worker"
    old, new = (one(objects, kind, name) for objects in overlays)
    made = copy_object(lived(old), NAMES, "next", image(new) if kind == "Deployment" else "")
    assert bare(made) == bare(new)


def test_the_revision_too(overlays: tuple[list[Object], list[Object]]) -> None:
    old, new = (one(objects, "KnativeService")["spec"]["template"] for objects in overlays)
    assert renamed(old, NAMES, "next", new["spec"]["containers"][0]["image"]) == new


def test_the_image_is_the_one_that_was_asked_for(overlays: tuple[list[Object], list[Object]]) -> None:
    old = one(overlays[0], "Deployment", "essaim-worker")
    assert image(copy_object(lived(old), NAMES, "next", "essaim@sha256:1f")) == "essaim@sha256:1f"
