"""The objects of a release besides its revision: copied from another release, listed, and removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from essaim.kubernetes.client import JsonObject, Kubernetes, Resource
from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.service import revision_name

CONFIG_MAPS = ("configmaps", "", "v1")
DAEMON_SETS = ("daemonsets", "apps", "v1")
DEPLOYMENTS = ("deployments", "apps", "v1")
DISRUPTION_BUDGETS = ("poddisruptionbudgets", "policy", "v1")
SCALED_OBJECTS = ("scaledobjects", "keda.sh", "v1alpha1")
JOBS = ("jobs", "batch", "v1")
REVISIONS = ("revisions", "serving.knative.dev", "v1")
# In the order in which they are made and removed; README.md names the same ones to be removed.
COPIED = (CONFIG_MAPS, DAEMON_SETS, DEPLOYMENTS, DISRUPTION_BUDGETS, SCALED_OBJECTS)
REMOVED = (SCALED_OBJECTS, DEPLOYMENTS, DAEMON_SETS, DISRUPTION_BUDGETS, CONFIG_MAPS, JOBS, REVISIONS)


VERSION = "app.kubernetes.io/version"  # all that belongs to a release has this label
SETTING = "ESSAIM_RELEASE"  # in the settings of each release
CONTAINERS = ("api", "worker", "warm")
NOT_OURS = (
    "scaledobject.keda.sh/",
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/",
    "serving.knative.dev/",
)


class Objects(Protocol):
    """The objects of all releases. All methods but `missing` may raise `RolloutRefusedError` if these are managed elsewhere."""

    async def bring_up(self, old: str, new: str, image: str) -> Sequence[str]:
        """Make what the new release lacks, as the old one has it, and return the names of what was made."""

    async def template(self, service: JsonObject, old: str, new: str, image: str) -> JsonObject:
        """The Service's template for the new release."""

    async def missing(self, service: JsonObject, release: str) -> Sequence[str]:
        """The objects that the release needs and that do not exist or are not ready."""

    async def workers(self, release: str) -> int:
        """How many workers it is meant to have now."""

    async def retire(self, release: str) -> Sequence[str]:
        """Take it away, and return the names of what is gone."""


class Elsewhere:
    """Releases are made and removed by other means."""

    async def bring_up(self, old: str, new: str, image: str) -> Sequence[str]:
        raise RolloutRefusedError("with --local the releases are those of `essaim up`: leave --image out")

    async def template(self, service: JsonObject, old: str, new: str, image: str) -> JsonObject:
        raise RolloutRefusedError("with --local the releases are those of `essaim up`: leave --image out")

    async def missing(self, service: JsonObject, release: str) -> Sequence[str]:
        revision = revision_name(service, release)
        wanted = service["spec"]["template"]["metadata"].get("name") == revision
        ready = service["status"].get("latestReadyRevisionName") == revision
        return [f"revision {revision} that is ready"] if wanted and not ready else []

    async def workers(self, release: str) -> int:
        return 0

    async def retire(self, release: str) -> Sequence[str]:
        raise RolloutRefusedError("with --local the releases are those of `essaim up`: leave --retire out")


@dataclass(frozen=True)
class ClusterObjects:
    """By the contract of `Objects`; raises as `Kubernetes` does, too. `service` names the Service in `namespace`."""

    kubernetes: Kubernetes
    namespace: str
    service: str

    async def bring_up(self, old: str, new: str, image: str) -> Sequence[str]:
        made = []
        for kind in COPIED:
            for live in await self._of(kind, old):
                made += await self._copy(live, kind, old, new, image)
        return made

    async def _copy(self, live: JsonObject, kind: tuple[str, str, str], old: str, new: str, image: str) -> list[str]:
        copy = copy_object(live, renames(self.service, old, new), new, image)
        resource = self._resource(kind, copy["metadata"]["name"])
        if await self.kubernetes.create(resource, copy):
            return [str(resource)]
        found = await self.kubernetes.get(resource) or {}
        if kind[0] == "deployments" and _image(found) not in ("", image):
            raise RolloutRefusedError(
                f"release {new} is there already, with image {_image(found)}: choose another name"
            )
        return []

    async def template(self, service: JsonObject, old: str, new: str, image: str) -> JsonObject:
        """From the Service's own where that is of the old release, and else from the old one's revision."""
        live, revision = service["spec"]["template"], f"{self.service}-{old}"
        if live["metadata"].get("name") != revision:
            found = await self.kubernetes.get(self._resource(REVISIONS, revision))
            if found is None:
                raise RolloutRefusedError(f"there is no revision {revision} to copy")
            live = {"metadata": own_metadata(found), "spec": found["spec"]}
        copy: JsonObject = renamed(live, renames(self.service, old, new), new, image)
        return copy

    async def missing(self, service: JsonObject, release: str) -> Sequence[str]:
        worker, revision = self._worker(release), f"{self.service}-{release}"
        lacking = []
        if await self.kubernetes.get(self._resource(DEPLOYMENTS, worker)) is None:
            lacking.append(f"Deployment {worker}")
        if (found := await self.kubernetes.get(self._resource(REVISIONS, revision))) is None:
            lacking.append(f"revision {revision}")
        elif (ready := condition(found, "Ready")).get("status") != "True":
            lacking.append(f"revision {revision} that is ready ({ready.get('message') or 'not yet'})")
        return lacking

    async def workers(self, release: str) -> int:
        found = await self.kubernetes.get(self._resource(DEPLOYMENTS, self._worker(release))) or {}
        return int(found.get("spec", {}).get("replicas", 0))

    async def retire(self, release: str) -> Sequence[str]:
        gone = []
        for kind in REMOVED:
            for live in await self._of(kind, release):
                resource = self._resource(kind, live["metadata"]["name"])
                await self.kubernetes.delete(resource)
                gone.append(str(resource))
        return gone

    async def _of(self, kind: tuple[str, str, str], release: str) -> Sequence[JsonObject]:
        """By label and by name: others may have that label too."""
        found = await self.kubernetes.list(self._resource(kind, ""), f"{VERSION}={release}")
        names = [(live["metadata"]["name"], live) for live in found]
        return [live for name, live in names if name.startswith(f"{self.service}-") and name.endswith(f"-{release}")]

    def _resource(self, kind: tuple[str, str, str], name: str) -> Resource:
        plural, group, version = kind
        return Resource(self.namespace, plural, name, group, version)

    def _worker(self, release: str) -> str:
        return f"{self.service}-worker-{release}"


def condition(live: JsonObject, name: str) -> JsonObject:
    """A condition of an object's status; empty if there is none."""
    return next((it for it in live.get("status", {}).get("conditions", ()) if it["type"] == name), {})


def _image(deployment: JsonObject) -> str:
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
    return next((str(it["image"]) for it in containers if it["name"] == "worker"), "")


def copy_object(live: JsonObject, names: Mapping[str, str], release: str, image: str) -> JsonObject:
    """The object under its new name, without what the cluster has written into it. `names` are old → new."""
    kept = {name: value for name, value in live.items() if name != "status"}
    if live["kind"] == "Deployment":
        # KEDA's; without them it begins with one worker, which declares the queue.
        kept["spec"] = {name: value for name, value in live["spec"].items() if name != "replicas"}
    copy: JsonObject = renamed({**kept, "metadata": own_metadata(live)}, names, release, image)
    return copy


def own_metadata(live: JsonObject) -> JsonObject:
    """Its metadata as somebody has given them: name, labels, annotations."""
    metadata = live["metadata"]
    own = {name: _own(metadata[name]) for name in ("labels", "annotations") if name in metadata}
    return {"name": metadata["name"], **own}


def renames(service: str, old: str, new: str) -> dict[str, str]:
    """Names that contain the release, old → new; the overlays in `platform/` build the same names."""
    made = (f"{service}-", f"{service}-worker-", f"{service}-warm-", f"{service}-settings-", "jobs.")
    return {f"{name}{old}": f"{name}{new}" for name in made}


def _own(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if not name.startswith(NOT_OURS)}


def renamed(value: Any, names: Mapping[str, str], release: str, image: str) -> Any:
    """An object, or a part of one, for another release. `names` are old → new."""
    match value:
        case str():
            return names.get(value, value)
        case list():
            return [renamed(each, names, release, image) for each in value]
        case {"name": str(name), "image": _} if name in CONTAINERS:
            rest = {key: renamed(each, names, release, image) for key, each in value.items()}
            return {**rest, "image": image}
        case dict():
            return {
                key: release if key in (VERSION, SETTING) else renamed(each, names, release, image)
                for key, each in value.items()
            }
    return value
