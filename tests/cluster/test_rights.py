"""What each pod may do in the API server, and whom it may reach."""

import json
import re
from urllib.parse import urlsplit

import pytest

from tests.cluster.access import Cluster, kubectl
from tests.cluster.place import STORE_URL

RIGHTS = {
    "essaim-api": set(),
    "essaim-worker": {"patch pods"},
    "essaim-credentials": {
        "create secrets",
        *(f"get secrets/{it}" for it in ("essaim-queue", "essaim-store", "essaim-keda", "essaim-texts")),
        *(f"get secrets/{it}" for it in ("rabbitmq", "mongodb")),
    },
}
ROW = re.compile(r"^(?P<resource>\S+) +\[\] +\[(?P<name>\S*)\] +\[(?P<verbs>.*)\]$", re.M)


def rights(cluster: Cluster, account: str) -> set[str]:
    """Beyond what everybody may: to ask who one is and what one may, and to read the API server's own description."""
    user = f"system:serviceaccount:{cluster.namespace}:{account}"
    groups = ("--as-group=system:serviceaccounts", "--as-group=system:authenticated")
    table = cluster.kubectl("auth", "can-i", "--list", "--as", user, *groups)
    found = set()
    for row in ROW.finditer(table):
        if not row["resource"].startswith("selfsubject"):
            name = f"/{row['name']}" if row["name"] else ""
            found |= {f"{verb} {row['resource']}{name}" for verb in row["verbs"].split()}
    return found


def test_each_account_may_do_what_it_needs_and_nothing_else(cluster: Cluster) -> None:
    found = {account: rights(cluster, account) for account in RIGHTS}
    for account, may in found.items():
        print(f"\n  {account:<20} {', '.join(sorted(may)) or 'nothing'}", end="")
    print()
    assert found == RIGHTS
    elsewhere = f"--as=system:serviceaccount:{cluster.namespace}:essaim-worker"
    assert "no" in kubectl("auth", "can-i", "patch", "pods", "--namespace=default", elsewhere, check=False)


def reaches(cluster: Cluster, name: str, labels: str, address: str) -> bool:
    """Whether a pod with those labels can connect."""
    host, port = address.split(":")
    code = f"import socket; socket.create_connection(('{host}', {port}), 5)"
    worker = cluster.read("/apis/apps/v1/namespaces/{}/deployments/essaim-worker-dev")["spec"]["template"]["spec"]
    container = {key: worker["containers"][0][key] for key in ("image", "securityContext")}
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": worker["securityContext"],
        "containers": [{"name": "asks", "command": ["python", "-c", code], **container}],
    }
    metadata = {"name": name, "labels": dict([labels.split("=")])}
    cluster.kubectl(
        "create", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    )
    try:
        while (phase := cluster.read(f"/api/v1/namespaces/{{}}/pods/{name}")["status"]["phase"]) not in {
            "Succeeded",
            "Failed",
        }:
            pass
    finally:
        cluster.kubectl("delete", "pod", name, "--wait=false")
    return bool(phase == "Succeeded")


def test_network_policies_let_through_what_is_needed(cluster: Cluster) -> None:
    """Whether they also keep anything out depends on the cluster's network, so that is said."""
    needed = {
        ("app.kubernetes.io/name=essaim", "rabbitmq:5672"),
        ("app.kubernetes.io/name=essaim", urlsplit(STORE_URL).netloc or "mongodb:27017"),
        ("app.kubernetes.io/name=essaim", "s3:7070"),
    }
    foreign = {("example.org/is=foreign", address) for _, address in needed}
    found = {
        (who, to): reaches(cluster, f"asks-{number}", who, to) for number, (who, to) in enumerate(needed | foreign)
    }
    for (who, to), reached in sorted(found.items()):
        print(f"\n  {who:<32} {to:<16} {'reached' if reached else 'not reached'}", end="")
    kept_out = {found[it] for it in foreign}
    print(f"\n  this cluster {'does not enforce' if True in kept_out else 'enforces'} NetworkPolicies")
    assert all(found[it] for it in needed)
    if len(kept_out) > 1:
        pytest.fail("some of them are enforced and others not")
