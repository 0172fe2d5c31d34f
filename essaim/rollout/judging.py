"""One step: what both releases' jobs have come to since it began, and when that is worth another look."""

from dataclasses import dataclass

from essaim.rollout.client import Remote
from essaim.rollout.model import Rollout
from essaim.rollout.outcomes import Seen, Window
from essaim.rollout.verdict import Decision, Verdict, judge, next_look, worth_a_look


@dataclass
class Judging:
    """In memory alone: made again from the jobs when a rollout is taken up."""

    index: int
    old: Window
    new: Window
    wanted: int
    verdict: Verdict | None = None

    @classmethod
    def of(cls, rollout: Rollout) -> "Judging":
        plan, since = rollout.plan, rollout.since
        return cls(rollout.index, Window(plan.old, since), Window(plan.new, since), next_look(0, plan.rules))

    async def look(self, rollout: Rollout, remote: Remote) -> tuple[Seen, Seen, Verdict | None]:
        """What is seen of old and new, and a verdict where there is enough for one. Raises as `Remote` does."""
        old, new = await self.old.read(remote), await self.new.read(remote)
        ended = new.outcomes.ended
        if not worth_a_look(new.outcomes, self.verdict, rollout.plan.rules):
            return old, new, None
        self.verdict = judge(old.outcomes, new.outcomes, rollout.plan.rules, rollout.looks + 1)
        self.wanted = next_look(ended, rollout.plan.rules)
        return old, new, self.verdict

    @property
    def good(self) -> Verdict | None:
        """The last verdict, if it was to go on."""
        return self.verdict if self.verdict is not None and self.verdict.decision is Decision.ADVANCE else None

    @property
    def sentence(self) -> str:
        return f"until {self.wanted} jobs of {self.new.release} have ended that were submitted at this step"

    def overdue(self, old: Seen, new: Seen, timeout: float) -> str:
        """Why this has lasted for too long, if it has. That few jobs come is no reason, and doubt is none either: a clock that
        made an end of it would take back good releases far more often than the verdict's rules allow.
        """
        # What holds the old release's jobs, too, is not its fault.
        if new.waiting > timeout and new.waiting > 2 * old.waiting:
            return f"a job of {self.new.release} has waited {new.waiting:.0f} s for a worker"
        return ""
