"""The few calls to a Kubernetes API server that are made here; docs/decisions/0012-kubernetes-client.md has the reasons."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from essaim.errors import EssaimError, UnavailableError
from essaim.kubernetes.cluster import Cluster

if TYPE_CHECKING:  # start-up time
    import httpx

JsonObject = dict[str, Any]

ANSWER_SECONDS = 5.0
VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}


class ClusterError(EssaimError):
    """The API server refuses: one sentence with verb, resource and status, and with the permission that is missing."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Resource:
    """One object in a namespace; `plural` is its kind as in a URL: `pods`."""

    namespace: str
    plural: str
    name: str
    group: str = ""
    version: str = "v1"

    def path(self, verb: str) -> str:
        root = f"/apis/{self.group}" if self.group else "/api"
        folder = f"{root}/{self.version}/namespaces/{quote(self.namespace, '')}/{self.plural}"
        return folder if verb in ("create", "list") else f"{folder}/{quote(self.name, '')}"

    def __str__(self) -> str:
        kind = f"{self.plural}.{self.group}" if self.group else self.plural
        return f"{kind} {self.name!r} in namespace {self.namespace!r}"


@asynccontextmanager
async def open_kubernetes(cluster: Cluster) -> AsyncIterator["Kubernetes"]:
    """Proxies from the environment are not used: an API server is reached directly."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # no command line of its own: see essaim/cli/__init__.py
    import httpx

    verify = cluster.tls if cluster.tls is not None else True
    async with httpx.AsyncClient(base_url=cluster.url, verify=verify, timeout=None, trust_env=False) as http:  # noqa: S113  # see _call
        yield Kubernetes(cluster, http)


class Kubernetes:
    """Methods raise `ClusterError` for a refusal, `UnavailableError` where no answer comes within five seconds."""

    def __init__(self, cluster: Cluster, http: "httpx.AsyncClient") -> None:
        self._cluster = cluster
        self._http = http

    async def get(self, resource: Resource) -> JsonObject | None:
        """None: there is none."""
        answer = await self._call("GET", resource, allowed=404)
        return None if answer.status_code == 404 else answer.json()

    async def list(self, resources: Resource, labels: str) -> Sequence[JsonObject]:
        """All of that kind in the namespace, whatever the name, with these labels: `name=value,…`."""
        found = (await self._call("GET", resources, labels=labels)).json()
        own = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}  # its items lack it
        return [{**own, **item} for item in found["items"]]

    async def create(self, resource: Resource, content: JsonObject) -> bool:
        """False: it is there already, and stays as it is."""
        metadata = {"name": resource.name, "namespace": resource.namespace, **content.get("metadata", {})}
        answer = await self._call("POST", resource, {**content, "metadata": metadata}, allowed=409)
        return answer.status_code != 409

    async def merge(self, resource: Resource, content: JsonObject) -> None:
        """Set what `content` names, and remove what is null there (RFC 7386)."""
        await self._call("PATCH", resource, content, "application/merge-patch+json")

    async def patch(self, resource: Resource, operations: Sequence[JsonObject]) -> JsonObject:
        """Apply all operations or none (RFC 6902); what came of it. A `test` that fails is a `ClusterError` of status 422."""
        answer = await self._call("PATCH", resource, [*operations], "application/json-patch+json")
        found: JsonObject = answer.json()
        return found

    async def delete(self, resource: Resource) -> None:
        """In the background what belongs to it, too. One that is gone already is as good."""
        await self._call("DELETE", resource, {"propagationPolicy": "Background"}, allowed=404)

    async def _call(
        self,
        method: str,
        resource: Resource,
        content: Any = None,
        media: str = "application/json",
        *,
        allowed: int = 0,
        labels: str | None = None,
    ) -> "httpx.Response":
        import httpx

        verb, params = (VERBS[method], {}) if labels is None else ("list", {"labelSelector": labels})
        try:
            headers = {"authorization": f"Bearer {token}"} if (token := self._cluster.token()) else {}
            headers["content-type"] = media
            async with asyncio.timeout(ANSWER_SECONDS):  # for all of it, where httpx counts from byte to byte
                answer = await self._http.request(
                    method, resource.path(verb), json=content, headers=headers, params=params
                )
        except (httpx.TransportError, OSError) as error:  # a TimeoutError is an OSError
            because = str(error) or "no answer in time"
            raise UnavailableError(f"the Kubernetes API at {self._cluster.url} does not answer: {because}") from error
        if answer.is_success or answer.status_code == allowed:
            return answer
        sentence = f"the Kubernetes API refuses to {verb} {resource}: {answer.status_code} {_reason(answer)}"
        if answer.status_code == 403:
            sentence += f" (missing permission: verb {verb!r} on {str(resource).split()[0]!r})"
        if answer.status_code in (429, *range(500, 600)):
            raise UnavailableError(sentence)
        raise ClusterError(sentence, answer.status_code)


def _reason(answer: "httpx.Response") -> str:
    try:
        return str(answer.json()["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
