"""What a rollout reads and changes: the one Service whose traffic is split among releases."""

from collections.abc import Sequence
from typing import Any, Protocol

JsonObject = dict[str, Any]


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
        """As it is now. Raises `UnavailableError` when nobody answers."""
        ...

    async def patch(self, operations: Sequence[JsonObject]) -> JsonObject:
        """Apply all operations (RFC 6902) or none, and return what came of it.

        Raises `ConflictError` when one of them, a `test` above all, does not fit what is there.
        Nothing but what they name is changed.
        """
        ...
