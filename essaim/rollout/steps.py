"""From one state of a rollout to the next. Pure: who reads clocks, jobs and the Service is `essaim.rollout.controller`."""

from dataclasses import replace
from datetime import datetime, timedelta

from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.model import Note, Phase, Plan, Rollout
from essaim.rollout.service import Entries, JsonObject, all_traffic_to, split_traffic

LEASE = timedelta(seconds=45)  # of a holder: it renews three times in that; a killed one is waited for no longer
HISTORY = 40  # sentences: an annotation is no log

NEXT = {Phase.PREPARING: Phase.SMOKE, Phase.SMOKE: Phase.SHADOW, Phase.SHADOW: Phase.STEPPING}


def begin_rollout(plan: Plan, name: str, holder: str, now: datetime) -> Rollout:
    first = Rollout(name, plan, now, now, now, holder, now + LEASE)
    return add_note(first, now, f"{plan.new} is to take over from {plan.old}")


def add_note(rollout: Rollout, now: datetime, sentence: str) -> Rollout:
    return replace(rollout, history=(*rollout.history, Note(now, sentence))[-HISTORY:])


def hold_rollout(rollout: Rollout, holder: str, now: datetime, *, takeover: bool = False) -> Rollout:
    """Held by `holder` for a while. Raises `RolloutRefusedError` while somebody else holds it."""
    if rollout.holder != holder and now < rollout.held_until and not takeover:
        raise RolloutRefusedError(
            f"{rollout.holder} is rolling out {rollout.plan.new} now ({rollout.phase.value}, {rollout.percent} %). If that was "
            f"killed, it can be taken up in {(rollout.held_until - now).seconds + 1} seconds, or at once with --takeover"
        )
    return replace(rollout, holder=holder, held_until=now + LEASE)


def advance_rollout(rollout: Rollout, now: datetime, sentence: str) -> Rollout:
    """In the next phase or at the next step; after the last step it is promoted."""
    plan, phase, index = rollout.plan, rollout.phase, rollout.index
    if phase.decided:
        raise RolloutRefusedError(f"the rollout of {plan.new} has ended: {phase.value}")
    phase = NEXT.get(phase, phase)
    if phase is Phase.SHADOW and not plan.shadow:
        phase = Phase.STEPPING
    if phase is Phase.STEPPING:
        index += 1
        if plan.steps[index] == 100:
            phase = Phase.PROMOTED
    opened = rollout.opened or (now if index >= 0 else None)
    moved = replace(rollout, phase=phase, index=index, since=now, waiting=now, opened=opened, reason=sentence)
    return add_note(moved, now, f"{moved.phase.value}, {moved.percent} %: {sentence}")


def conclude_rollout(rollout: Rollout, phase: Phase, now: datetime, sentence: str) -> Rollout:
    """Ended in this phase, whatever came before."""
    if rollout.phase.decided:
        raise RolloutRefusedError(f"the rollout of {rollout.plan.new} has ended already: {rollout.phase.value}")
    ended = replace(rollout, phase=phase, since=now, waiting=now, reason=sentence, paused=False)
    return add_note(ended, now, f"{phase.value}: {sentence}")


def pause_rollout(rollout: Rollout, now: datetime, sentence: str) -> Rollout:
    """It takes no step forward, but still goes back."""
    if rollout.phase.decided:
        raise RolloutRefusedError(f"the rollout of {rollout.plan.new} has ended: {rollout.phase.value}")
    return add_note(replace(rollout, paused=True), now, sentence)


def resume_rollout(rollout: Rollout, now: datetime, sentence: str) -> Rollout:
    """Time that it was paused is not held against the new release."""
    return add_note(replace(rollout, paused=False, waiting=now), now, sentence) if rollout.paused else rollout


def position(rollout: Rollout) -> tuple[Phase, int]:
    """What says how the requests are split."""
    return rollout.phase, rollout.index


def is_overdue(rollout: Rollout, now: datetime) -> bool:
    """Whether it has waited for longer than is allowed."""
    return not rollout.paused and (now - rollout.waiting).total_seconds() > rollout.plan.timeout


def revision_name(service: JsonObject, release: str) -> str:
    return f"{service['metadata']['name']}-{release}"


def desired_traffic(service: JsonObject, rollout: Rollout) -> Entries:
    """What `spec.traffic` is to be in this state."""
    plan = rollout.plan
    old, new = revision_name(service, plan.old), revision_name(service, plan.new)
    own_tag = plan.tag if plan.own_tag else None
    match rollout.phase:
        case Phase.PREPARING:
            return split_traffic(service, {old: 100})
        case Phase.PROMOTED:
            return all_traffic_to(service, new, own_tag)
        case Phase.ROLLED_BACK | Phase.ABORTED:
            return all_traffic_to(service, old, own_tag)
        case _:
            percent = rollout.percent
            return split_traffic(service, {old: 100 - percent, new: percent}, {new: plan.tag})
