"""What a person does to a rollout that goes on: look, pause, resume, abort, promote."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from essaim.cli.output import document, note, table
from essaim.cli.rollout.run import carry
from essaim.cli.rollout.target import Place, Where, open_place
from essaim.cli.running import run
from essaim.rollout.controller import Controller
from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.model import Phase, Rollout, conclude_rollout, dump, pause_rollout, resume_rollout
from essaim.rollout.service import JsonObject
from essaim.units import ago

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
    async def pausing(place: Place, controller: Controller) -> None:
        rollout = await _change(
            place, lambda it: pause_rollout(it, datetime.now(UTC), f"paused by {controller.holder}")
        )
        controller.voice.paused(rollout, controller.holder)

    carry(where, pausing, as_json=False)


def go_on(where: Where, *, takeover: bool, as_json: bool) -> None:
    """Raises `RolloutRefusedError` when there is nothing to resume."""

    async def resuming(place: Place, controller: Controller) -> Rollout | None:
        _, before = await place.record.read()
        rollout = await _change(
            place, lambda it: resume_rollout(it, datetime.now(UTC), f"resumed by {controller.holder}")
        )
        if before and before.paused:
            controller.voice.resumed(rollout, controller.holder)
            if _held(rollout) and not takeover:
                note(f"{rollout.holder} carries it on")
                return None
        return await controller.take_up(takeover)

    carry(where, resuming, as_json=as_json)


def decide(where: Where, phase: str, *, as_json: bool) -> None:
    """End it in this phase; whoever carries it on cleans up, and if nobody does, it is done from here."""

    async def deciding(place: Place, controller: Controller) -> Rollout | None:
        def decided(it: Rollout) -> Rollout:
            if phase == Phase.PROMOTED and it.phase in EARLY:
                raise RolloutRefusedError(f"{it.plan.new} has not ended a job yet: wait for its first one, or abort")
            return conclude_rollout(it, Phase(phase), datetime.now(UTC), f"by {controller.holder}")

        rollout = await _change(place, decided)
        controller.voice.moved(rollout)
        if _held(rollout):
            note(f"{rollout.holder} carries it on, and cleans up")
            return None
        return await controller.take_up(takeover=False)

    carry(where, deciding, as_json=as_json)


def _held(rollout: Rollout) -> bool:
    return datetime.now(UTC) < rollout.held_until


async def _change(place: Place, change: Callable[[Rollout], Rollout]) -> Rollout:
    def decide(_: JsonObject, rollout: Rollout | None) -> Rollout:
        if rollout is None or rollout.done:
            raise RolloutRefusedError("there is no rollout")
        return change(rollout)

    return (await place.record.change(decide))[1]
