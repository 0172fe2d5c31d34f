"""One step: what both releases' jobs have come to since it began, and when that is worth another look."""

from dataclasses import dataclass
from datetime import datetime

from rollout.outcomes import Seen, Window
from rollout.remote import Remote
from rollout.state import Rollout
from rollout.verdict import Decision, Verdict, judge, next_look


@dataclass
class Judging:
    """In memory alone: made again from the jobs when a rollout is taken up."""

    index: int
    old: Window
    new: Window
    wanted: int
    verdict: Verdict | None = None
    undecided: datetime | None = None
    """Since when there have been enough jobs, and yet no answer."""

    @classmethod
    def of(cls, rollout: Rollout) -> "Judging":
        plan, since = rollout.plan, rollout.since
        return cls(rollout.index, Window(plan.old, since), Window(plan.new, since), next_look(0, plan.rules))

    async def look(self, rollout: Rollout, remote: Remote) -> tuple[Seen, Seen, Verdict | None]:
        """What is seen of old and new, and a verdict where there is enough for one. Raises as `Remote` does."""
        old, new = await self.old.read(remote), await self.new.read(remote)
        ended = new.outcomes.ended
        if ended < self.wanted:
            return old, new, None
        self.verdict = judge(old.outcomes, new.outcomes, rollout.plan.rules, rollout.looks + 1)
        self.wanted = next_look(ended, rollout.plan.rules)
        if min(ended, old.outcomes.ended) >= rollout.plan.rules.min_jobs:
            self.undecided = self.undecided or remote.clock.now()
        return old, new, self.verdict

    @property
    def good(self) -> Verdict | None:
        """The last verdict, if it was to go on."""
        return self.verdict if self.verdict is not None and self.verdict.decision is Decision.ADVANCE else None

    @property
    def sentence(self) -> str:
        return f"until {self.wanted} jobs of {self.new.release} have ended that were submitted at this step"

    def overdue(self, old: Seen, new: Seen, timeout: float, now: datetime) -> str:
        """Why this has lasted for too long, if it has. That few jobs come is no reason."""
        if (
            new.waiting > timeout and new.waiting > 2 * old.waiting
        ):  # and not for what holds the old release's jobs, too
            return f"a job of {self.new.release} has waited {new.waiting:.0f} s for a worker"
        if self.undecided and (now - self.undecided).total_seconds() > timeout and self.verdict:
            return f"for {timeout:.0f} s there have been enough jobs to tell, and still: {self.verdict.sentence}"
        return ""
