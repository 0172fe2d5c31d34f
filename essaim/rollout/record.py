"""The rollout's state on its Service, changed together with the traffic: both or neither, unless somebody else was faster."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from essaim.rollout.errors import ConflictError
from essaim.rollout.model import Phase, Rollout, desired_traffic, dump, load, position
from essaim.rollout.service import JsonObject, Service, revision_name, split_traffic

ANNOTATION = "essaim.dev/rollout"
TEMPLATE = "essaim.dev/rollout-template"  # the one before, while a rollout has put its own there: to be had back
TRIES = 20

Decide = Callable[[JsonObject, Rollout | None], Rollout]


@dataclass(frozen=True)
class Record:
    """Both raise `UnavailableError`; `change` also what `decide` raises, and `ConflictError` after many tries."""

    service: Service

    async def read(self) -> tuple[JsonObject, Rollout | None]:
        service = await self.service.read()
        return service, current(service)

    async def change(self, decide: Decide, template: JsonObject | None = None) -> tuple[JsonObject, Rollout]:
        """Write what `decide` makes of the state as it is, with the traffic of that state where it differs from before, and
        the template. Where it makes nothing of it, nothing is written.

        When somebody else has written meanwhile, it is asked again.
        """
        tries = 0
        while True:
            service, before = await self.read()
            after = decide(service, before)
            if after == before:
                return service, after
            try:
                return await self.service.patch(operations(service, before, after, template)), after
            except ConflictError:
                tries += 1
                if tries == TRIES:
                    raise

    async def pin(self, release: str) -> bool:
        """Have the release keep all requests that it gets as the newest one. Returns whether that was to be said."""
        service = await self.service.read()
        asked = service["spec"].get("traffic")
        pinned = split_traffic(service, {revision_name(service, release): 100})
        if pinned == asked:
            return False
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": service["metadata"]["resourceVersion"]}
        await self.service.patch([test, {"op": "add", "path": "/spec/traffic", "value": pinned}])
        return True


def current(service: JsonObject) -> Rollout | None:
    text = _annotations(service).get(ANNOTATION)
    return None if text is None else load(text)


def operations(
    service: JsonObject, before: Rollout | None, after: Rollout, template: JsonObject | None = None
) -> list[JsonObject]:
    """The patch from one state to the next, with tests of all that it builds on."""
    changes = list(_state(service, after))
    if before is None or position(before) != position(after):
        changes += _traffic(service, after)
    kept = _annotations(service).get(TEMPLATE)
    if template is not None:
        text = json.dumps(service["spec"]["template"], separators=(",", ":"))
        changes += [*_template(service, template), {"op": "add", "path": _path(TEMPLATE), "value": text}]
    elif kept is not None and after.phase.decided:
        if after.phase is not Phase.PROMOTED:
            changes += _template(service, json.loads(kept))
        changes.append({"op": "remove", "path": _path(TEMPLATE)})
    return changes


def _state(service: JsonObject, after: Rollout) -> Iterator[JsonObject]:
    if ANNOTATION in _annotations(service):
        yield {"op": "test", "path": _path(ANNOTATION), "value": _annotations(service)[ANNOTATION]}
    else:
        yield {"op": "test", "path": "/metadata/resourceVersion", "value": service["metadata"]["resourceVersion"]}
    if service["metadata"].get("annotations") is None:
        yield {"op": "add", "path": "/metadata/annotations", "value": {}}
    yield {"op": "add", "path": _path(ANNOTATION), "value": dump(after)}


def _traffic(service: JsonObject, after: Rollout) -> Iterator[JsonObject]:
    asked = service["spec"].get("traffic")
    if (wanted := desired_traffic(service, after)) != asked:
        if asked is not None:
            yield {"op": "test", "path": "/spec/traffic", "value": asked}
        yield {"op": "add", "path": "/spec/traffic", "value": wanted}


def _template(service: JsonObject, template: JsonObject) -> Iterator[JsonObject]:
    yield {"op": "test", "path": "/spec/template", "value": service["spec"]["template"]}
    yield {"op": "replace", "path": "/spec/template", "value": template}


def _annotations(service: JsonObject) -> dict[str, str]:
    return service["metadata"].get("annotations") or {}


def _path(annotation: str) -> str:
    return f"/metadata/annotations/{annotation.replace('/', '~1')}"
