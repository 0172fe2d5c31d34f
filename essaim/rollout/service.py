"""The one Service whose traffic is split among releases: how it is read and changed, and what its `spec.traffic` means.

Entries of revisions that a rollout does not name stay as they are.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from essaim.rollout.errors import RolloutRefusedError

JsonObject = dict[str, Any]
Entries = list[JsonObject]

NEWEST: JsonObject = {"latestRevision": True, "percent": 100}  # what Knative does where nothing is said


class Service(Protocol):
    """A Knative Service, or what stands for one on one machine. Both are JSON of the same shape:

    - `metadata`: `name`, `annotations` (may be absent), `resourceVersion` (another one after each change), `generation`
      (another one after each change of `spec`).
    - `spec.template.metadata.name`: the revision that was asked for last, `<service>-<release>`.
    - `spec.traffic` (may be absent: the newest ready revision gets all): entries of `revisionName` or `latestRevision: true`,
      `percent` (may be absent: 0; together 100) and `tag` (may be absent).
    - `status`: `url`; `traffic`, what is in force, with `revisionName` in each entry and `url` in each that has a tag;
      `latestReadyRevisionName`; `observedGeneration`, and `conditions`, of which `RoutesReady` (where there is none: `Ready`)
      is `True` once the split is in force.
    """

    async def read(self) -> JsonObject:
        """The Service now. Raises `UnavailableError` when nobody answers."""

    async def patch(self, operations: Sequence[JsonObject]) -> JsonObject:
        """Apply all operations (RFC 6902) or none, and return what came of it.

        Raises `ConflictError` when one of them, a `test` above all, does not fit what is there.
        Nothing but what they name is changed.
        """


def revision_name(service: JsonObject, release: str) -> str:
    return f"{service['metadata']['name']}-{release}"


def traffic_entries(service: JsonObject) -> Entries:
    """The requested entries."""
    return list(service["spec"].get("traffic") or [NEWEST])


def serving_revision(service: JsonObject) -> str:
    """The one revision that gets the requests. Raises `RolloutRefusedError` when there are several, or none is known."""
    newest = service["status"].get("latestReadyRevisionName", "")
    found: set[str] = {
        entry.get("revisionName") or newest for entry in traffic_entries(service) if entry.get("percent")
    }
    if len(found) != 1 or found == {""}:
        shown = ", ".join(sorted(name or "a revision that is not ready" for name in found))
        raise RolloutRefusedError(f"requests go to {shown}: a rollout starts where one revision gets them all")
    return found.pop()


def choose_tag(service: JsonObject, revision: str, wanted: str) -> tuple[str, bool]:
    """A tag that leads to the revision, and whether it is ours to remove: one that it has already, or else `wanted`."""
    for entry in traffic_entries(service):
        if entry.get("tag") and entry.get("revisionName") == revision:
            return str(entry["tag"]), False
        if entry.get("tag") == wanted:
            raise RolloutRefusedError(f"the tag {wanted!r} leads elsewhere: remove it, or choose another release name")
    return wanted, True


def split_traffic(service: JsonObject, percent: dict[str, int], tags: dict[str, str] | None = None) -> Entries:
    """These revisions share the requests, in percent, and those in `tags` get a tag where they have none.

    Whoever had a share and is not named keeps at most its tag: a tag is somebody's address.
    """
    open_shares, result = dict(percent), []
    for entry in traffic_entries(service):
        name = entry.get("revisionName")
        if name in open_shares:
            result.append({**entry, "percent": open_shares.pop(name)})
        elif not entry.get("percent"):
            result.append(entry)
        elif entry.get("tag"):
            result.append({**entry, "percent": 0})
    result += [{"revisionName": name, "percent": share} for name, share in open_shares.items()]
    return [_tagged(entry, tags or {}) for entry in result]


def all_traffic_to(service: JsonObject, revision: str, own_tag: str | None) -> Entries:
    """The revision gets all. Our tag goes, and with it entries that are there for nothing else."""
    found = []
    for entry in split_traffic(service, {revision: 100}):
        if own_tag is None or entry.get("tag") != own_tag:
            found.append(entry)
        elif entry.get("percent"):
            found.append({name: value for name, value in entry.items() if name not in ("tag", "url")})
    return found


def tags_of(service: JsonObject, revision: str) -> list[str]:
    """Tags that lead to the revision."""
    return [
        str(entry["tag"])
        for entry in traffic_entries(service)
        if entry.get("tag") and entry.get("revisionName") == revision
    ]


def tag_url(service: JsonObject, tag: str) -> str | None:
    """The URL of the tag, once it is in force."""
    in_force: Entries = service["status"].get("traffic") or []
    return next((str(entry["url"]) for entry in in_force if entry.get("tag") == tag and entry.get("url")), None)


def cluster_url(service: JsonObject, tag: str = "") -> str | None:
    """The URL of the Service, or of a tag, within its cluster: Knative has a name there for each."""
    found = (service["status"].get("address") or {}).get("url")
    return str(found).replace("//", f"//{tag}-", 1) if found and tag else found


def split_in_force(service: JsonObject) -> bool:
    """Whether the split that is asked for is in force. That a newer revision does not start is another matter."""
    status = service["status"]
    conditions = {it["type"]: it["status"] for it in status.get("conditions", ())}
    ready = conditions.get("RoutesReady", conditions.get("Ready")) == "True"
    return ready and status.get("observedGeneration") == service["metadata"].get("generation")


def requested_percent(service: JsonObject, revision: str) -> int:
    """The requested share of the revision, in percent."""
    return sum(entry.get("percent") or 0 for entry in traffic_entries(service) if entry.get("revisionName") == revision)


def _tagged(entry: JsonObject, tags: dict[str, str]) -> JsonObject:
    name = entry.get("revisionName")
    return {**entry, "tag": tags[name]} if name in tags and not entry.get("tag") else entry
