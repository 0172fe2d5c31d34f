"""What stands for a Knative Service and the controllers behind it: patches, and a status that follows the spec."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from essaim.rollout.errors import ConflictError

JsonObject = dict[str, Any]


@dataclass
class StandInService:
    """`urls` by release; a release in `never_ready` has pods that do not start. `seen` are the patches."""

    urls: Mapping[str, str]
    never_ready: set[str] = field(default_factory=set)
    seen: list[list[JsonObject]] = field(default_factory=list)
    content: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.content = {
            "metadata": {"name": "essaim", "resourceVersion": "1", "generation": 1},
            "spec": {"template": {"metadata": {"name": f"essaim-{next(iter(self.urls))}"}}},
            "status": {},
        }
        self.reconcile()

    async def read(self) -> JsonObject:
        return copy.deepcopy(self.content)

    async def patch(self, operations: Sequence[JsonObject]) -> JsonObject:
        self.seen.append([*operations])
        before = self.content["spec"]
        content = apply(self.content, operations)
        content["metadata"]["resourceVersion"] = str(int(content["metadata"]["resourceVersion"]) + 1)
        content["metadata"]["generation"] += content["spec"] != before
        self.content = content
        self.reconcile()
        return await self.read()

    def reconcile(self) -> None:
        """As Knative: what has a target that is not ready stays as it was."""
        spec, status = self.content["spec"], self.content["status"]
        newest = spec["template"]["metadata"]["name"]
        if newest.removeprefix("essaim-") not in self.never_ready:
            status["latestReadyRevisionName"] = newest
        asked = spec.get("traffic") or [{"latestRevision": True, "percent": 100}]
        names = [entry.get("revisionName") or status["latestReadyRevisionName"] for entry in asked]
        assert sum(entry.get("percent") or 0 for entry in asked) == 100, asked
        ready = not any(name.removeprefix("essaim-") in self.never_ready for name in names)
        if ready:
            status["traffic"] = [
                {**entry, "revisionName": name, "url": self.urls[name.removeprefix("essaim-")]}
                for entry, name in zip(asked, names, strict=True)
            ]
        most = max(status["traffic"], key=lambda entry: entry.get("percent") or 0)
        status["url"] = most["url"]  # any release answers for all
        status["observedGeneration"] = self.content["metadata"]["generation"]
        whole = ready and status["latestReadyRevisionName"] == newest
        states = {"RoutesReady": ready, "Ready": whole}
        status["conditions"] = [{"type": it, "status": "True" if is_so else "Unknown"} for it, is_so in states.items()]

    def percent(self, release: str) -> int:
        """What is in force."""
        entries = self.content["status"]["traffic"]
        return sum(it.get("percent") or 0 for it in entries if it["revisionName"] == f"essaim-{release}")


def apply(document: JsonObject, operations: Sequence[JsonObject]) -> JsonObject:
    """RFC 6902, as far as a rollout uses it: on members of objects. Raises `ConflictError`, and changes nothing in place."""
    document = copy.deepcopy(document)
    for operation in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        try:
            place = document
            for part in way:
                place = place[part]
            match operation["op"]:
                case "test" if place[last] != operation["value"]:
                    raise ConflictError(f"{operation['path']} is another")
                case "add":
                    place[last] = copy.deepcopy(operation["value"])
                case "replace" if last in place:
                    place[last] = copy.deepcopy(operation["value"])
                case "remove":
                    del place[last]
        except KeyError as error:
            raise ConflictError(f"{operation['path']} is not there") from error
    return document
