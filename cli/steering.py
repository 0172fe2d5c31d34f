"""What a person does to a rollout that goes on: look, pause, resume, abort, promote."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from cli.output import ago, document, note, table
from cli.place import Place, Where, holder, open_place
from cli.rolling import carry
from cli.running import run
from rollout import steps
from rollout.errors import RolloutRefusedError
from rollout.service import JsonObject
from rollout.state import Phase, Rollout, dump

EARLY = (Phase.PREPARING, Phase.SMOKE)


def show(where: Where, *, as_json: bool) -> None:
    """The state, and the sentences of its history."""
    rollout = run(_read(where))
    if as_json:
        return document(None if rollout is None else json.loads(dump(rollout)))
    if rollout is None:
        return note("no rollout so far")
    rows = [(it.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"), it.sentence) for it in rollout.history]
    table(("when", "what"), rows)
    plan, now = rollout.plan, datetime.now(UTC)
    phase = "paused" if rollout.paused else rollout.phase.value
    note(
        f"{plan.old} → {plan.new}: {phase}, {rollout.percent} % of the requests, for {ago(rollout.since.isoformat(), now)}"
    )
    if not rollout.done:
        alive = now < rollout.held_until
        note(f"{rollout.holder} carries it on" if alive else "nobody carries it on: `essaim rollout resume` does")


async def _read(where: Where) -> Rollout | None:
    async with open_place(where) as place:
        return (await place.record.read())[1]


def stop_here(where: Where) -> None:
    async def pausing() -> Rollout:
        async with open_place(where) as place:
            return await _change(place, lambda it: steps.paused(it, datetime.now(UTC), f"paused by {holder()}"))

    rollout = run(pausing())
    note(f"paused at {rollout.percent} %")


def go_on(where: Where, *, takeover: bool, as_json: bool) -> None:
    """Raises `RolloutRefusedError` when there is nothing to resume."""

    async def resuming() -> Rollout | None:
        """It, where it was paused and somebody carries it on."""
        async with open_place(where) as place:
            _, before = await place.record.read()
            rollout = await _change(place, lambda it: steps.resumed(it, datetime.now(UTC), f"resumed by {holder()}"))
        return rollout if before and before.paused and _held(rollout) and not takeover else None

    if (rollout := run(resuming())) is not None:
        return note(f"resumed; {rollout.holder} carries it on")
    carry(where, lambda _, controller: controller.take_up(takeover), as_json=as_json)


def decide(where: Where, phase: str, *, as_json: bool) -> None:
    """End it in this phase; whoever carries it on cleans up, and if nobody does, it is done from here."""

    def decided(rollout: Rollout) -> Rollout:
        if phase == Phase.PROMOTED and rollout.phase in EARLY:
            raise RolloutRefusedError(f"{rollout.plan.new} has not ended a job yet: wait for its first one, or abort")
        return steps.decided(rollout, Phase(phase), datetime.now(UTC), f"{phase} by {holder()}")

    async def deciding() -> bool:
        async with open_place(where) as place:
            return _held(await _change(place, decided))

    if run(deciding()):
        return note(f"{phase}; whoever carries it on cleans up")
    carry(where, lambda _, controller: controller.take_up(takeover=False), as_json=as_json)


def _held(rollout: Rollout) -> bool:
    return datetime.now(UTC) < rollout.held_until


async def _change(place: Place, change: Callable[[Rollout], Rollout]) -> Rollout:
    def decide(_: JsonObject, rollout: Rollout | None) -> Rollout:
        if rollout is None or rollout.done:
            raise RolloutRefusedError("there is no rollout")
        return change(rollout)

    return (await place.record.change(decide))[1]
