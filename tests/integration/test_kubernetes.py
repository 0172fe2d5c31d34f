"""The Kubernetes client, against a TLS server of the test, and against a real API server where `KUBECONFIG` names one."""

import os
from pathlib import Path
from uuid import uuid4

import pytest

from essaim.errors import SettingsError, UnavailableError
from essaim.kubernetes.client import ClusterError, Resource, open_kubernetes
from essaim.kubernetes.cluster import Cluster, configured_cluster, own_cluster
from tests.api_server import ApiServer, api_server

POD = Resource("essaim", "pods", "worker-1")
SERVICE = Resource("essaim", "services", "essaim", "serving.knative.dev")


@pytest.fixture
def server(kubernetes: ApiServer) -> ApiServer:
    return kubernetes


def in_pod(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    return own_cluster(server.account)


async def test_a_pod_asks_as_its_service_account(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # not for an API server
    server.objects["/api/v1/namespaces/essaim/pods/worker-1"] = {"metadata": {"name": "worker-1"}}
    async with open_kubernetes(in_pod(server, monkeypatch)) as kubernetes:
        assert await kubernetes.get(POD) == {"metadata": {"name": "worker-1"}}
        server.token = "the next one"
        (server.account / "token").write_text("the next one\n")
        assert await kubernetes.get(POD) is not None


async def test_what_is_absent_is_none_and_what_is_there_is_not_made_again(server: ApiServer) -> None:
    async with open_kubernetes(server.cluster()) as kubernetes:
        assert await kubernetes.get(POD) is None
        assert await kubernetes.create(POD, {"spec": 1})
        assert not await kubernetes.create(POD, {"spec": 2})
        found = await kubernetes.get(POD)
    assert found == {"metadata": {"name": "worker-1", "namespace": "essaim"}, "spec": 1}


async def test_a_patch_goes_to_its_own_place_in_its_own_form(server: ApiServer) -> None:
    server.objects["/apis/serving.knative.dev/v1/namespaces/essaim/services/essaim"] = {"spec": {"traffic": [1]}}
    operations = [{"op": "replace", "path": "/spec/traffic", "value": []}]
    async with open_kubernetes(server.cluster()) as kubernetes:
        assert await kubernetes.patch(SERVICE, operations) == {"spec": {"traffic": []}}
    assert server.seen[-1].headers["content-type"] == "application/json-patch+json"
    assert server.seen[-1].content == operations


async def test_what_has_a_label_is_listed_with_its_kind_and_can_be_deleted(server: ApiServer) -> None:
    async with open_kubernetes(server.cluster()) as kubernetes:
        for name, labels in (("worker-1", {"a": "b"}), ("worker-2", {"a": "c"})):
            pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"labels": labels}}
            assert await kubernetes.create(Resource("essaim", "pods", name), pod)
        (found,) = await kubernetes.list(POD, "a=b")
        assert (found["kind"], found["apiVersion"], found["metadata"]["name"]) == ("Pod", "v1", "worker-1")
        assert not await kubernetes.list(POD, "a=d")
        await kubernetes.delete(POD)
        await kubernetes.delete(POD)
        assert await kubernetes.get(POD) is None
        assert await kubernetes.get(Resource("essaim", "pods", "worker-2")) is not None


async def test_a_refusal_says_what_was_refused_and_which_permission_is_missing(server: ApiServer) -> None:
    server.refuse = [(403, "pods is forbidden"), (422, "spec: Invalid value"), (503, "etcd is away")]
    async with open_kubernetes(server.cluster()) as kubernetes:
        with pytest.raises(ClusterError) as forbidden:
            await kubernetes.merge(POD, {})
        with pytest.raises(ClusterError, match="422 spec: Invalid value"):
            await kubernetes.create(SERVICE, {})
        with pytest.raises(UnavailableError, match="503 etcd is away"):
            await kubernetes.get(POD)
    assert str(forbidden.value) == (
        "the Kubernetes API refuses to patch pods 'worker-1' in namespace 'essaim': 403 pods is forbidden "
        "(missing permission: verb 'patch' on 'pods')"
    )


async def test_who_is_not_the_cluster_is_not_trusted_with_the_token(server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with api_server(tmp_path / "other") as other:
        stranger = Cluster(other.cluster().url, server.cluster().tls, server.cluster().token)
        async with open_kubernetes(stranger) as kubernetes:
            with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
                await kubernetes.get(POD)
        assert not other.seen


async def test_a_silent_api_server_is_given_up(server: ApiServer) -> None:
    server.answering.clear()
    async with open_kubernetes(server.cluster()) as kubernetes:
        with pytest.raises(UnavailableError, match="no answer in time"):
            await kubernetes.get(POD)


def test_outside_a_pod_there_is_no_cluster_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsError, match="KUBERNETES_SERVICE_HOST is not set"):
        own_cluster(tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    with pytest.raises(SettingsError, match="no service account"):
        own_cluster(tmp_path)


@pytest.mark.parametrize("user", [{"token": "a token that is replaced"}, {"tokenFile": "token"}])
async def test_outside_it_is_the_one_that_kubectl_asks(server: ApiServer, user: dict[str, object]) -> None:
    async with open_kubernetes(configured_cluster(server.kubeconfig(user))) as kubernetes:
        assert await kubernetes.create(POD, {})


async def test_a_client_certificate_may_stand_for_a_token(server: ApiServer) -> None:
    user = {"client-certificate": "server.crt", "client-key": "server.key"}
    server.client_authority()
    async with open_kubernetes(configured_cluster(server.kubeconfig(user))) as kubernetes:
        assert await kubernetes.create(POD, {})
    async with open_kubernetes(configured_cluster(server.kubeconfig({}))) as kubernetes:
        with pytest.raises(UnavailableError):
            await kubernetes.create(POD, {})


@pytest.mark.parametrize("user", [{"exec": {"command": "cloud"}}, {"client-certificate": "absent.crt"}])
def test_a_kubeconfig_that_cannot_be_used_says_so(server: ApiServer, user: dict[str, object]) -> None:
    path = server.kubeconfig(user)
    with pytest.raises(SettingsError, match="names no cluster that can be asked"):
        configured_cluster(path)
    path.write_text("- no\n- kubeconfig")
    with pytest.raises(SettingsError, match="names no cluster that can be asked"):
        configured_cluster(path)


@pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="no KUBECONFIG: no real API server")
async def test_a_real_api_server_understands_all_of_it() -> None:
    name = f"essaim-test-{uuid4().hex[:8]}"
    one = Resource("default", "configmaps", name)
    async with open_kubernetes(configured_cluster()) as kubernetes:
        assert await kubernetes.get(one) is None
        assert await kubernetes.create(one, {"data": {"a": "1"}})
        assert not await kubernetes.create(one, {"data": {"a": "2"}})
        await kubernetes.merge(one, {"metadata": {"annotations": {"essaim/test": "yes"}}, "data": {"b": "2"}})
        await kubernetes.patch(
            one, [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "remove", "path": "/data/a"}]
        )
        found = await kubernetes.get(one)
        assert found is not None
        assert (found["data"], found["metadata"]["annotations"]) == ({"b": "2"}, {"essaim/test": "yes"})
        with pytest.raises(ClusterError, match="422") as stale:
            await kubernetes.patch(one, [{"op": "test", "path": "/data/b", "value": "3"}])
        assert stale.value.status == 422
        await kubernetes.merge(one, {"metadata": {"labels": {"essaim-test": name}}})
        (listed,) = await kubernetes.list(one, f"essaim-test={name}")
        assert (listed["kind"], listed["apiVersion"]) == ("ConfigMap", "v1")
        await kubernetes.delete(one)
        assert await kubernetes.get(one) is None
        with pytest.raises(ClusterError, match=r"403.*'create' on 'configmaps'|404"):
            await kubernetes.create(Resource("no-such-namespace", "configmaps", name), {})
