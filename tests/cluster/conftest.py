"""The whole system in a namespace of its own for each file of tests. Only `make test-cluster` runs them."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cluster.access import Cluster, kubectl, open_cluster
from tests.cluster.place import STORE_URL, write_overlay
from tests.cluster.timeline import Timeline

if "ESSAIM_TEST_CLUSTER" not in os.environ:
    collect_ignore_glob = ["test_*"]

RELEASE = "dev"


@pytest.fixture(scope="module")
def namespace() -> str:
    return os.environ.get("ESSAIM_TEST_NAMESPACE", f"essaim-test-{uuid4().hex[:6]}")


@pytest.fixture(scope="module")
def overlay(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_overlay(tmp_path_factory.mktemp("place"), namespace, RELEASE)


@pytest.fixture(scope="module")
def cluster(namespace: str, overlay: Path) -> Iterator[Cluster]:
    """The overlay, applied as a person would, and ready: Knative says that the API has answered /readyz.

    ESSAIM_TEST_NAMESPACE goes on in a namespace of an earlier run, ESSAIM_TEST_KEEP leaves it.
    """
    try:
        with open_cluster(namespace) as opened:
            if not opened.read("/api/v1/namespaces/{}"):
                install(opened, overlay)
            yield opened
    finally:
        if not os.environ.keys() & {"ESSAIM_TEST_KEEP", "ESSAIM_TEST_NAMESPACE"}:
            kubectl("delete", "namespace", namespace, "--wait=false")


def install(cluster: Cluster, overlay: Path) -> None:
    kubectl("create", "namespace", cluster.namespace)
    if STORE_URL:  # a Secret that is there already is left as it is
        url = STORE_URL.replace("{namespace}", cluster.namespace)
        cluster.kubectl("create", "secret", "generic", "essaim-store", f"--from-literal=ESSAIM_STORE_URL={url}")
    kubectl("apply", "-k", str(overlay))
    cluster.kubectl("wait", "ksvc/essaim", "--for=condition=Ready", "--timeout=240s")
    cluster.kubectl("wait", "scaledobject", "--all", "--for=condition=Ready", "--timeout=60s")


@pytest.fixture
def timeline(cluster: Cluster) -> Iterator[Timeline]:
    with Timeline(cluster, RELEASE).recording() as recorded:
        yield recorded


@pytest.fixture
def name() -> str:
    """Of a release that nobody has seen before."""
    return f"r{uuid4().hex[:5]}"
