"""What the collector makes of a job in a cluster: which pod, Deployment and node each line is from, and what Kubernetes said.

Another collector stands for Loki, and prints what it gets. ESSAIM_TEST_OBSERVABILITY turns this on.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.access import Cluster
from tests.cluster.place import OBSERVABILITY
from tests.cluster.test_rights import rights

pytestmark = pytest.mark.skipif(not OBSERVABILITY, reason="ESSAIM_TEST_OBSERVABILITY adds what observes to the overlay")

SINK = """
receivers: {otlp: {protocols: {http: {endpoint: "0.0.0.0:4318"}}}}
exporters: {debug: {verbosity: detailed}}
service: {pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}
"""
LABELS = {"app.kubernetes.io/name": "loki", "sink": "yes"}  # Loki's, for the network policies
DEADLINE = 120


@dataclass(frozen=True)
class Record:
    resource: dict[str, str]
    attributes: dict[str, str]


def records(printed: str) -> list[Record]:
    """From what the `debug` exporter prints."""
    found = []
    for resource in printed.split("ResourceLog #")[1:]:
        head, *bodies = resource.split("LogRecord #")
        found += [Record(_attributes(head), _attributes(body)) for body in bodies]
    return found


def _attributes(text: str) -> dict[str, str]:
    return dict(re.findall(r"^ +-> ([\w.]+): \w+\((.*)\)$", text, re.M))


@contextmanager
def sink(cluster: Cluster) -> Iterator[None]:
    """The collector sends here, until this ends."""
    deployment = cluster.read("/apis/apps/v1/namespaces/{}/deployments/otel-collector")["spec"]["template"]["spec"]
    ours = {key: deployment["containers"][0][key] for key in ("image", "securityContext")}
    pod: dict[str, Any] = {
        "securityContext": deployment["securityContext"],
        "containers": [
            {
                "name": "sink",
                "args": ["--config=/etc/sink/config.yaml"],
                "volumeMounts": [{"name": "config", "mountPath": "/etc/sink"}],
                **ours,
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": "sink"}}],
    }
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"config.yaml": SINK}},
        {"apiVersion": "v1", "kind": "Service", "spec": {"selector": {"sink": "yes"}, "ports": [{"port": 4318}]}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {"selector": {"matchLabels": LABELS}, "template": template},
        },
    ]
    given = json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": [{**it, "metadata": {"name": "sink"}} for it in objects]}
    )
    cluster.kubectl("apply", "-f", "-", given=given)
    try:
        cluster.kubectl("rollout", "status", "deployment/sink", f"--timeout={DEADLINE}s")
        cluster.kubectl("set", "env", "deployment/otel-collector", "LOKI_ENDPOINT=http://sink:4318")
        cluster.kubectl("rollout", "status", "deployment/otel-collector", f"--timeout={DEADLINE}s")
        yield
    finally:
        cluster.kubectl("set", "env", "deployment/otel-collector", "LOKI_ENDPOINT-")
        cluster.kubectl("delete", "--wait=false", "-f", "-", given=given)


def test_every_line_says_which_pod_it_is_from(cluster: Cluster) -> None:
    with sink(cluster):
        with cluster.api() as api:
            answer = api.post("/v1/jobs", json={"text": "a swarm", "words": ["swarm"]}, headers={"Prefer": "wait=60"})
            assert answer.status_code == 200, answer.text
        job = answer.json()["id"]
        about = eventually_about(cluster, job)
        pods = {it["metadata"]["name"]: it for it in cluster.read("/api/v1/namespaces/{}/pods")["items"]}
        for record in about:
            pod = pods[record.resource["k8s.pod.name"]]
            assert record.resource["k8s.namespace.name"] == cluster.namespace
            assert record.resource["k8s.pod.uid"] == pod["metadata"]["uid"]
            assert record.resource["k8s.node.name"] == pod["spec"]["nodeName"]
        deployments = {it.resource["service.name"]: it.resource["k8s.deployment.name"] for it in about}
        print(f"\n  {len(about)} lines of the job from {deployments}")
        assert deployments["essaim-worker"] == "essaim-worker-dev"
        assert deployments["essaim-api"].startswith("essaim-dev")
        assert {it.resource["service.version"] for it in about} == {"dev"}
        say_what_kubernetes_said(cluster)


def eventually_about(cluster: Cluster, job: str) -> list[Record]:
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        found = [it for it in received(cluster) if it.attributes.get("job") == job]
        if {it.attributes["event"] for it in found} >= {"job.submitted", "task.claimed", "job.succeeded"}:
            return found
        time.sleep(1)  # between two looks
    raise AssertionError(f"the lines of job {job} have not come through")


def received(cluster: Cluster) -> list[Record]:
    return records(cluster.kubectl("logs", "deployment/sink", "--tail=-1"))


def say_what_kubernetes_said(cluster: Cluster) -> None:
    """The collector of this cluster may be a build without the receiver of events."""
    arguments = cluster.read("/apis/apps/v1/namespaces/{}/deployments/otel-collector")["spec"]["template"]["spec"]
    if not any(it.endswith("/events.yaml") for it in arguments["containers"][0]["args"]):
        print("  this collector reads no Kubernetes events")
        return
    events = [it for it in received(cluster) if it.resource.get("service.name") == "kubernetes-events"]
    print(f"  {len(events)} Kubernetes events, of {sorted({it.resource['k8s.object.kind'] for it in events})}")
    assert events
    assert all(it.attributes["k8s.event.reason"] for it in events)


def test_the_collector_may_look_at_pods_and_events_of_its_namespace_only(cluster: Cluster) -> None:
    wanted = {f"{verb} {what}" for verb in ("get", "list", "watch") for what in ("pods", "events")}
    assert rights(cluster, "otel-collector") == wanted
    account = f"system:serviceaccount:{cluster.namespace}:otel-collector"
    said = cluster.kubectl("auth", "can-i", "list", "pods", "--namespace=default", f"--as={account}", check=False)
    assert "no" in said
