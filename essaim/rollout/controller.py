"""Runs a rollout to its end: `Observer` decides on an action, the controller applies it, and so on.

No state that matters is only in memory: after a kill at any moment, any process can resume it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from essaim.errors import EssaimError, UnavailableError
from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.model import (
    LEASE,
    Phase,
    Plan,
    Rollout,
    add_note,
    advance_rollout,
    begin_rollout,
    conclude_rollout,
    hold_rollout,
    is_overdue,
    position,
)
from essaim.rollout.phases import Action, Finished, Judged, Move, Observer, Wait, Write
from essaim.rollout.record import Record
from essaim.rollout.reporting import Reporter
from essaim.rollout.service import JsonObject
from essaim.rollout.verdict import Decision, Verdict

PAUSE_SECONDS = 3.0

Change = Callable[[Rollout, datetime], Rollout]


@dataclass
class Controller:
    """Holds the rollout as `holder`. `pause`: seconds between two observations."""

    record: Record
    observer: Observer
    holder: str
    reporter: Reporter
    pause: float = PAUSE_SECONDS
    _silent: datetime | None = None

    async def begin(self, name: str, plan: Callable[[JsonObject], Plan]) -> Rollout:
        """Note down the plan, and pin the requests to where they go now.

        Raises `RolloutRefusedError` while another one goes on.
        """

        def decide(service: JsonObject, current: Rollout | None) -> Rollout:
            if current is not None and not current.done:
                raise RolloutRefusedError(
                    f"{current.plan.new} is being rolled out: `essaim rollout status` says how far it is"
                )
            return begin_rollout(plan(service), name, self.holder, self.now())

        _, rollout = await self.record.change(decide)
        self.reporter.began(rollout)
        return rollout

    async def take_up(self, takeover: bool) -> Rollout:
        """Hold the rollout that somebody else has begun. Raises `RolloutRefusedError` while somebody does."""

        def decide(_: JsonObject, current: Rollout | None) -> Rollout:
            if current is None or current.done:
                raise RolloutRefusedError("there is no rollout to take up")
            held = hold_rollout(current, self.holder, self.now(), takeover=takeover)
            return add_note(held, self.now(), f"{self.holder} goes on with it")

        _, rollout = await self.record.change(decide)
        self.reporter.taken_up(rollout)
        return rollout

    async def run(self) -> Rollout:
        """To the end. Raises `RolloutRefusedError` when somebody else has taken over."""
        rollout: Rollout | None = None
        while True:
            try:
                service, rollout = await self._hold()
                if rollout.done:
                    return rollout
                await self._apply(rollout, await self._observe(service, rollout))
            except UnavailableError as error:  # of the Service itself: nothing can be done but to try again
                if rollout is not None:
                    self.reporter.waits(rollout, str(error))
            await asyncio.sleep(self.pause)

    async def _hold(self) -> tuple[JsonObject, Rollout]:
        service, current = await self.record.read()
        rollout = self._own(current)
        if rollout.held_until - self.now() < LEASE * 2 / 3:
            return await self.record.change(lambda _, it: hold_rollout(self._own(it), self.holder, self.now()))
        return service, rollout

    def _own(self, rollout: Rollout | None) -> Rollout:
        if rollout is None or rollout.holder != self.holder:
            raise RolloutRefusedError(f"this rollout is with {rollout.holder if rollout else 'nobody'} now")
        return rollout

    async def let_go(self) -> None:
        """Release the lease, so the next process need not wait. Best effort: it expires anyway."""
        with suppress(EssaimError, TimeoutError):
            async with asyncio.timeout(5):
                await self.record.change(lambda _, it: replace(self._own(it), held_until=self.now()))

    async def _observe(self, service: JsonObject, rollout: Rollout) -> Action:
        try:
            action = await self.observer.observe(service, rollout)
        except UnavailableError as error:
            self._silent = self._silent or self.now()
            silent = (self.now() - self._silent).total_seconds()
            if rollout.phase.decided or silent < rollout.plan.timeout:
                return Wait(str(error), patient=True)
            return Move(f"for {silent:.0f} s nothing can be known: {error}", Phase.ROLLED_BACK)
        except EssaimError as error:
            return Wait(str(error), patient=True) if rollout.phase.decided else Move(str(error), Phase.ROLLED_BACK)
        self._silent = None
        return action

    async def _apply(self, rollout: Rollout, action: Action) -> None:
        match action:
            case Wait(sentence, patient):
                if patient or not is_overdue(rollout, self.now()):
                    return self.reporter.waits(rollout, sentence)
                late = f"after {rollout.plan.timeout:.0f} s still: {sentence}"
                await self._move(rollout, lambda it, now: conclude_rollout(it, Phase.ROLLED_BACK, now, late))
            case Move(sentence, None) if rollout.paused:
                self.reporter.waits(rollout, f"paused, or else: {sentence}")
            case Move(sentence, None):
                await self._move(rollout, lambda it, now: advance_rollout(it, now, sentence))
            case Move(sentence, Phase() as end):
                await self._move(rollout, lambda it, now: conclude_rollout(it, end, now, sentence))
            case Write(sentence, change, template):
                await self._change(rollout, lambda it, now: add_note(change(it), now, sentence), template)
                self.reporter.did(rollout, sentence)
            case Judged(verdict):
                await self._judged(rollout, verdict)
            case Finished():
                await self._change(rollout, lambda it, _: replace(it, done=True))

    async def _judged(self, rollout: Rollout, verdict: Verdict) -> None:
        """The look counts whatever comes of it. While it is paused, a good verdict is kept for later."""

        def counted(it: Rollout, now: datetime) -> Rollout:
            it = replace(it, looks=it.looks + 1)
            match verdict.decision:
                case Decision.ROLL_BACK:
                    return conclude_rollout(it, Phase.ROLLED_BACK, now, verdict.sentence)
                case Decision.ADVANCE if not it.paused:
                    return advance_rollout(it, now, verdict.sentence)
            return add_note(it, now, verdict.sentence)

        self.reporter.judged(rollout, verdict)
        await self._move(rollout, counted, judged=True)

    async def _move(self, rollout: Rollout, change: Change, *, judged: bool = False) -> None:
        after = await self._change(rollout, change)
        if position(after) != position(rollout):
            self.reporter.moved(after, judged=judged)

    async def _change(self, seen: Rollout, change: Change, template: JsonObject | None = None) -> Rollout:
        """Nothing, when meanwhile somebody has paused or moved what was seen."""

        def decide(_: JsonObject, current: Rollout | None) -> Rollout:
            own = self._own(current)
            same = (position(own), own.paused) == (position(seen), seen.paused)
            return change(own, self.now()) if same else own

        _, after = await self.record.change(decide, template)
        return after

    def now(self) -> datetime:
        return self.observer.site.clock.now()
