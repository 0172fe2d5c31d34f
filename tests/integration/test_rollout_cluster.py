"""A rollout in a cluster, as its API server sees it: objects made, found and taken away, and a stale patch refused."""

from pathlib import Path

import pytest

from essaim.kubernetes.client import open_kubernetes
from essaim.rollout.errors import ConflictError, RolloutRefusedError
from essaim.rollout.knative import KnativeService
from essaim.rollout.releases import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    REVISIONS,
    SCALED_OBJECTS,
    ClusterObjects,
)
from tests.api_server import ApiServer
from tests.unit.platform_builds import Object, build, copy

FOLDERS = {
    "ConfigMap": CONFIG_MAPS,
    "DaemonSet": DAEMON_SETS,
    "Deployment": DEPLOYMENTS,
    "PodDisruptionBudget": DISRUPTION_BUDGETS,
    "ScaledObject": SCALED_OBJECTS,
}
SERVICE = "/apis/serving.knative.dev/v1/namespaces/essaim/services/essaim"


def path(kind: tuple[str, str, str], name: str) -> str:
    plural, group, version = kind
    return f"/{f'apis/{group}' if group else 'api'}/{version}/namespaces/essaim/{plural}/{name}"


@pytest.fixture
def cluster(kubernetes: ApiServer, tmp_path: Path) -> ApiServer:
    """With the local overlay in it."""
    for it in build(copy(tmp_path) / "overlays" / "local"):
        if it["apiVersion"].startswith("serving"):
            kubernetes.objects[SERVICE] = {**it, "metadata": {**it["metadata"], "resourceVersion": "1"}}
        elif it["kind"] in FOLDERS:
            kubernetes.objects[path(FOLDERS[it["kind"]], it["metadata"]["name"])] = it
    other: Object = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "theirs"}}
    other["metadata"]["labels"] = {"app.kubernetes.io/version": "dev"}  # of another thing that has a version, too
    kubernetes.objects[path(CONFIG_MAPS, "theirs")] = other
    return kubernetes


async def test_a_release_is_made_found_and_taken_away_and_nothing_else_is(cluster: ApiServer) -> None:
    before = dict(cluster.objects)
    async with open_kubernetes(cluster.cluster()) as kubernetes:
        objects = ClusterObjects(kubernetes, "essaim", "essaim")
        service = await KnativeService(kubernetes, "essaim", "essaim").read()
        assert await objects.missing(service, "v2") == ["Deployment essaim-worker-v2", "revision essaim-v2"]
        made = await objects.bring_up("dev", "v2", "dev.local/essaim:2")
        assert [it.split()[1] for it in made] == [
            "'essaim-settings-v2'",
            "'essaim-warm-v2'",
            *["'essaim-worker-v2'"] * 3,
        ]
        assert await objects.bring_up("dev", "v2", "dev.local/essaim:2") == []
        assert await objects.missing(service, "v2") == ["revision essaim-v2"]
        ready = {"type": "Ready", "status": "Unknown", "message": "pulling"}
        cluster.objects[path(REVISIONS, "essaim-v2")] = {
            "kind": "Revision",
            "apiVersion": "serving.knative.dev/v1",
            "metadata": {"name": "essaim-v2", "labels": {"app.kubernetes.io/version": "v2"}},
            "status": {"conditions": [ready]},
        }
        assert await objects.missing(service, "v2") == ["revision essaim-v2 that is ready (pulling)"]
        ready["status"] = "True"
        assert await objects.missing(service, "v2") == []
        assert len(await objects.retire("v2")) == 6
    assert cluster.objects == before


async def test_a_release_of_that_name_with_another_image_is_not_taken_for_it(cluster: ApiServer) -> None:
    async with open_kubernetes(cluster.cluster()) as kubernetes:
        objects = ClusterObjects(kubernetes, "essaim", "essaim")
        await objects.bring_up("dev", "v2", "dev.local/essaim:2")
        with pytest.raises(RolloutRefusedError, match=r"there already, with image dev\.local/essaim:2"):
            await objects.bring_up("dev", "v2", "dev.local/essaim:3")


async def test_a_revision_is_copied_where_the_services_template_is_of_another_release(cluster: ApiServer) -> None:
    """As after a rollback of what somebody else had applied."""
    live = cluster.objects[SERVICE]["spec"]["template"]
    labels = {**live["metadata"]["labels"], "serving.knative.dev/routingState": "active"}
    revision = {"kind": "Revision", **live, "metadata": {**live["metadata"], "labels": labels, "uid": "1"}}
    cluster.objects[path(REVISIONS, "essaim-dev")] = revision
    async with open_kubernetes(cluster.cluster()) as kubernetes:
        objects = ClusterObjects(kubernetes, "essaim", "essaim")
        service = await KnativeService(kubernetes, "essaim", "essaim").read()
        usual = await objects.template(service, "dev", "v2", "dev.local/essaim:2")
        service["spec"]["template"] = {"metadata": {"name": "essaim-bad"}}
        assert await objects.template(service, "dev", "v2", "dev.local/essaim:2") == usual
        with pytest.raises(RolloutRefusedError, match="no revision essaim-v1 to copy"):
            await objects.template(service, "v1", "v2", "dev.local/essaim:2")


async def test_a_stale_patch_is_a_conflict_and_an_absent_service_a_sentence(cluster: ApiServer) -> None:
    async with open_kubernetes(cluster.cluster()) as kubernetes:
        service = KnativeService(kubernetes, "essaim", "essaim")
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": "0"}
        with pytest.raises(ConflictError):
            await service.patch([test, {"op": "add", "path": "/spec/traffic", "value": []}])
        assert "traffic" not in (await service.read())["spec"]
        with pytest.raises(RolloutRefusedError, match=r"no services\.serving\.knative\.dev .other."):
            await KnativeService(kubernetes, "essaim", "other").read()
