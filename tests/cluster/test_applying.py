"""Applying it again changes nothing, and what was deleted can be had again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.access import Cluster, kubectl, open_cluster
from tests.cluster.conftest import RELEASE, install
from tests.cluster.load import Load
from tests.cluster.place import write_overlay

KINDS = (
    "daemonset,deployment,statefulset,service,configmap,secret,role,rolebinding,serviceaccount,networkpolicy,"
    "poddisruptionbudget,job,persistentvolumeclaim,scaledobject,triggerauthentication,ksvc,revision"
)


def generations(cluster: Cluster) -> dict[str, str]:
    """A generation rises with each change of a spec; what has none gets another version."""
    columns = "custom-columns=K:.kind,N:.metadata.name,G:.metadata.generation,V:.metadata.resourceVersion"
    rows = [row.split() for row in cluster.kubectl("get", KINDS, "--no-headers", "-o", columns).splitlines()]
    return {
        f"{kind}/{name}": version if generation == "<none>" else generation for kind, name, generation, version in rows
    }


def test_applying_again_changes_nothing(cluster: Cluster, overlay: Path) -> None:
    difference = kubectl("diff", "-k", str(overlay), check=False)
    before = generations(cluster)
    kubectl("apply", "-k", str(overlay))
    assert difference == ""
    assert generations(cluster) == before
    print(f"\n  {len(before)} objects, none changed")


@pytest.fixture
def another(namespace: str, tmp_path: Path) -> Iterator[tuple[Cluster, Path]]:
    """A namespace of its own, with nothing in it yet."""
    name = f"{namespace}-again"
    with open_cluster(name) as cluster:
        yield cluster, write_overlay(tmp_path, name, RELEASE)
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def test_what_was_deleted_can_be_applied_again(another: tuple[Cluster, Path]) -> None:
    """The passwords are others then, and the volumes new."""
    cluster, overlay = another
    passwords = set()
    for _ in range(2):
        install(cluster, overlay)
        passwords.add(cluster.secret("rabbitmq")["definitions.json"])
        load = Load(cluster)
        load.submit(2, pause_seconds=1)
        assert set(load.until_ended().values()) == {"succeeded"}
        kubectl("delete", "-k", str(overlay), "--timeout=200s")
    assert len(passwords) == 2
