"""The patches that a successful rollout would send, and the one that would roll it back. Pure."""

import copy
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from essaim.rollout.model import Phase, Plan, Rollout, advance_rollout, begin_rollout, conclude_rollout
from essaim.rollout.record import current, operations
from essaim.rollout.service import JsonObject


class Patch(NamedTuple):
    title: str
    operations: list[JsonObject]


def preview(
    service: JsonObject, plan: Plan, template: JsonObject | None, holder: str, now: datetime
) -> Iterator[Patch]:
    """In their order. `template` is what the Service gets for the new release, None where somebody else applies it."""
    service = copy.deepcopy(service)
    before = current(service)
    rollout = begin_rollout(plan, "preview", holder, now)
    yield _patch(f"requests stay with {plan.old}", service, before, rollout)
    if template is not None:
        yield _patch(f"the revision of {plan.new}", service, rollout, rollout, template)
    while not rollout.phase.decided:
        back = operations(service, rollout, conclude_rollout(rollout, Phase.ROLLED_BACK, now, "because of a verdict"))
        before, rollout = rollout, advance_rollout(rollout, now, "all is well")
        if before.percent != rollout.percent or before.phase is Phase.PREPARING:
            yield _patch(f"{rollout.percent} % of the requests go to {plan.new}", service, before, rollout)
    yield Patch("or else, from the last step but one", back)


def _patch(
    title: str, service: JsonObject, before: Rollout | None, after: Rollout, template: JsonObject | None = None
) -> Patch:
    """The patch; then `service` is as if it had been applied."""
    changes = operations(service, before, after, template)
    for change in changes:
        *way, last = [part.replace("~1", "/") for part in change["path"].split("/")[1:]]
        place = service
        for part in way:
            place = place[part]
        match change["op"]:
            case "add" | "replace":
                place[last] = change["value"]
            case "remove":
                del place[last]
    return Patch(title, changes)
