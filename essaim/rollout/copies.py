"""The objects of a release, made from those of another: the same but for names, labels, queue, image. Pure."""

from collections.abc import Mapping
from typing import Any

JsonObject = dict[str, Any]

VERSION = "app.kubernetes.io/version"  # all that belongs to a release has this label
RELEASE = "ESSAIM_RELEASE"
CONTAINERS = ("api", "worker", "warm")
NOT_OURS = (
    "scaledobject.keda.sh/",
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/",
    "serving.knative.dev/",
)


def copied(live: JsonObject, names: Mapping[str, str], release: str, image: str) -> JsonObject:
    """The object under its new name, without what the cluster has written into it. `names` are old → new."""
    kept = {name: value for name, value in live.items() if name != "status"}
    if live["kind"] == "Deployment":
        # KEDA's; without them it begins with one worker, which declares the queue.
        kept["spec"] = {name: value for name, value in live["spec"].items() if name != "replicas"}
    renamed: JsonObject = _renamed({**kept, "metadata": given(live)}, names, release, image)
    return renamed


def given(live: JsonObject) -> JsonObject:
    """Its metadata as somebody has given them: name, labels, annotations."""
    metadata = live["metadata"]
    own = {name: _own(metadata[name]) for name in ("labels", "annotations") if name in metadata}
    return {"name": metadata["name"], **own}


def template(live: JsonObject, names: Mapping[str, str], release: str, image: str) -> JsonObject:
    """A Service's template for another release."""
    renamed: JsonObject = _renamed(live, names, release, image)
    return renamed


def renames(service: str, old: str, new: str) -> dict[str, str]:
    """What carries the name of a release, old → new; `platform/components/release` has the same names."""
    made = (f"{service}-", f"{service}-worker-", f"{service}-warm-", f"{service}-settings-", "jobs.")
    return {f"{name}{old}": f"{name}{new}" for name in made}


def _own(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if not name.startswith(NOT_OURS)}


def _renamed(value: Any, names: Mapping[str, str], release: str, image: str) -> Any:
    match value:
        case str():
            return names.get(value, value)
        case list():
            return [_renamed(each, names, release, image) for each in value]
        case {"name": str(name), "value": _} if name == RELEASE:
            return {**value, "value": release}
        case {"name": str(name), "image": _} if name in CONTAINERS:
            rest = {key: _renamed(each, names, release, image) for key, each in value.items()}
            return {**rest, "image": image}
        case dict():
            return {
                key: release if key == VERSION else _renamed(each, names, release, image) for key, each in value.items()
            }
    return value
