"""The workers' Deployment, its HPA and its ScaledObject, as the API server of a cluster tells of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from essaim.autoscaler.errors import ScaledObjectError
from essaim.kubernetes.client import Kubernetes, Resource, open_kubernetes
from essaim.kubernetes.cluster import Cluster, nearest_cluster


class Counts(NamedTuple):
    """As a `Moment` has them."""

    replicas_desired: int | None
    replicas_ready: int | None
    hpa_desired: int | None


class WorkerObjects:
    """Those of one release in one namespace."""

    def __init__(self, kubernetes: Kubernetes, namespace: str, release: str) -> None:
        name = f"essaim-worker-{release}"
        self._kubernetes = kubernetes
        self._deployment = Resource(namespace, "deployments", name, "apps")
        self._hpa = Resource(namespace, "horizontalpodautoscalers", f"keda-hpa-{name}", "autoscaling", "v2")
        self._rules = Resource(namespace, "scaledobjects", name, "keda.sh", "v1alpha1")

    async def replicas(self) -> Counts:
        """Raises as `Kubernetes`."""
        deployment = await self._kubernetes.get(self._deployment) or {}
        hpa = await self._kubernetes.get(self._hpa) or {}
        return Counts(
            deployment.get("spec", {}).get("replicas"),
            deployment.get("status", {}).get("readyReplicas", 0),
            hpa.get("status", {}).get("desiredReplicas"),
        )

    async def scaledobject(self) -> dict[str, Any]:
        """The manifest, without what the cluster has added. Raises `ScaledObjectError` when there is none."""
        found = await self._kubernetes.get(self._rules)
        if found is None:
            raise ScaledObjectError(f"there is no {self._rules}: is --namespace right?")
        kept = {"name": found["metadata"]["name"]}
        return {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": kept, "spec": found["spec"]}


@asynccontextmanager
async def open_workers(namespace: str, release: str, proxy: str | None) -> AsyncIterator[WorkerObjects]:
    """By the address of a `kubectl proxy`, or else by KUBECONFIG."""
    async with open_kubernetes(Cluster(proxy) if proxy else nearest_cluster()) as kubernetes:
        yield WorkerObjects(kubernetes, namespace, release)
