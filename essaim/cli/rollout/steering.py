"""The commands for a running rollout: status, pause, resume, abort, promote."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from essaim.cli.output import document, note, table
from essaim.cli.rollout.run import run_controller
from essaim.cli.rollout.target import Target, TargetOptions, open_target
from essaim.cli.running import run
from essaim.rollout.controller import Controller
from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.model import Phase, Rollout, conclude_rollout, dump, pause_rollout, resume_rollout
from essaim.rollout.service import JsonObject
from essaim.units import ago

EARLY = (Phase.PREPARING, Phase.SMOKE)


def show(options: TargetOptions, *, as_json: bool) -> None:
    """The state, and the sentences of its history."""
    rollout = run(_read(options))
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


async def _read(options: TargetOptions) -> Rollout | None:
    async with open_target(options) as target:
        return (await target.record.read())[1]


def pause(options: TargetOptions) -> None:
    async def pausing(target: Target, controller: Controller) -> None:
        rollout = await _change(
            target, lambda it: pause_rollout(it, datetime.now(UTC), f"paused by {controller.holder}")
        )
        controller.reporter.paused(rollout, controller.holder)

    run_controller(options, pausing, as_json=False)


def resume(options: TargetOptions, *, takeover: bool, as_json: bool) -> None:
    """Raises `RolloutRefusedError` when there is nothing to resume."""

    async def resuming(target: Target, controller: Controller) -> Rollout | None:
        _, before = await target.record.read()
        rollout = await _change(
            target, lambda it: resume_rollout(it, datetime.now(UTC), f"resumed by {controller.holder}")
        )
        if before and before.paused:
            controller.reporter.resumed(rollout, controller.holder)
            if _held(rollout) and not takeover:
                note(f"{rollout.holder} carries it on")
                return None
        return await controller.take_up(takeover)

    run_controller(options, resuming, as_json=as_json)


def decide(options: TargetOptions, phase: str, *, as_json: bool) -> None:
    """End it in this phase; whoever carries it on cleans up, and if nobody does, it is done from here."""

    async def deciding(target: Target, controller: Controller) -> Rollout | None:
        def decided(it: Rollout) -> Rollout:
            if phase == Phase.PROMOTED and it.phase in EARLY:
                raise RolloutRefusedError(f"{it.plan.new} has not ended a job yet: wait for its first one, or abort")
            return conclude_rollout(it, Phase(phase), datetime.now(UTC), f"by {controller.holder}")

        rollout = await _change(target, decided)
        controller.reporter.moved(rollout)
        if _held(rollout):
            note(f"{rollout.holder} carries it on, and cleans up")
            return None
        return await controller.take_up(takeover=False)

    run_controller(options, deciding, as_json=as_json)


def _held(rollout: Rollout) -> bool:
    return datetime.now(UTC) < rollout.held_until


async def _change(target: Target, change: Callable[[Rollout], Rollout]) -> Rollout:
    def decide(_: JsonObject, rollout: Rollout | None) -> Rollout:
        if rollout is None or rollout.done:
            raise RolloutRefusedError("there is no rollout")
        return change(rollout)

    return (await target.record.change(decide))[1]
