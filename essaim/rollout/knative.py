"""A Service in a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass

from essaim.kubernetes.client import ClusterError, Kubernetes, Resource
from essaim.rollout.errors import ConflictError, RolloutRefusedError
from essaim.rollout.service import JsonObject

STALE = (409, 422)  # an API server says 422 of a `test` that fails, and 409 when it was overtaken


@dataclass(frozen=True)
class KnativeService:
    """By the contract of `essaim.rollout.service.Service`; raises `ClusterError` too."""

    kubernetes: Kubernetes
    namespace: str
    name: str

    @property
    def _resource(self) -> Resource:
        return Resource(self.namespace, "services", self.name, "serving.knative.dev")

    async def read(self) -> JsonObject:
        found = await self.kubernetes.get(self._resource)
        if found is None:
            raise RolloutRefusedError(f"there is no {self._resource}: name it with --namespace and --service")
        return {"status": {}, **found}

    async def patch(self, operations: Sequence[JsonObject]) -> JsonObject:
        try:
            return {"status": {}, **await self.kubernetes.patch(self._resource, operations)}
        except ClusterError as error:
            if error.status in STALE:
                raise ConflictError(str(error)) from error
            raise
