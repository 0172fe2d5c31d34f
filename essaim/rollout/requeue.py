"""After a rollback: what the new release has failed, or has not begun, runs again on the old one."""

from dataclasses import dataclass, field
from datetime import datetime

from essaim.rollout.client import JsonObject, Remote, RemoteError
from essaim.rollout.outcomes import ENDED

MOST_TRIES = (
    3  # a request may still reach the new release while the split comes into force; what fails then comes again
)
NOT_RETRYABLE = 409  # it has ended meanwhile, or somebody else has taken it


@dataclass
class Requeue:
    """Jobs of `release` since `opened`. `left`: so many still run there; `states`: of those that run again."""

    release: str
    opened: datetime
    left: int = 0
    tries: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    async def look(self, site: Remote, *, all_of_them: bool = False) -> bool:
        """Take what has failed or waits, and `all_of_them` also what runs. Whether all has ended. Raises as `Remote` does."""
        self.left, taken = 0, []
        async for job in site.jobs(self.release):
            if datetime.fromisoformat(job["created"]) < self.opened:
                break
            if job["state"] == "running" and not all_of_them:
                self.left += 1
            elif job["state"] not in ("succeeded", "cancelled") and self.tries.get(job["id"], 0) < MOST_TRIES:
                taken.append(job["id"])
        for job_id in taken:
            await self._take(site, job_id)
        for job_id in [job_id for job_id, state in self.states.items() if state not in ENDED]:
            self.states[job_id] = (await site.job(job_id))["state"]
        return not self.left and ENDED.issuperset(self.states.values())

    @property
    def sentence(self) -> str:
        succeeded = sum(state == "succeeded" for state in self.states.values())
        waiting = sum(state not in ENDED for state in self.states.values())
        if not self.states and not self.left:
            return f"no job of {self.release} has to run again"
        parts = [f"of {len(self.states)} jobs of {self.release} that run again, {succeeded} have succeeded"]
        if waiting:
            parts.append(f"{waiting} are not at their end")
        if failed := len(self.states) - succeeded - waiting:
            parts.append(f"{failed} have failed again")
        if self.left:
            parts.append(f"{self.left} more still run on {self.release}")
        return ", ".join(parts)

    async def _take(self, site: Remote, job_id: str) -> None:
        try:
            taken: JsonObject = await site.take(job_id, self.release)
        except RemoteError as error:
            if error.status != NOT_RETRYABLE:
                raise
            return
        self.tries[job_id] = self.tries.get(job_id, 0) + 1
        self.states[job_id] = taken["state"]
