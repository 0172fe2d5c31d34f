"""Finished jobs of the old release, run again on the new one, whose results must be the same."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from rollout.outcomes import ENDED
from rollout.remote import JsonObject, Remote

AT_ONCE = 10
NAMED = 3  # jobs that a sentence names


@dataclass
class Shadow:
    """`count` jobs that had succeeded before `began`, newest first; `rollout` names their copies: none is made twice."""

    rollout: str
    count: int
    began: datetime
    same: int = 0
    wrong: list[str] = field(default_factory=list)
    _open: list[JsonObject] | None = None
    _asked: int = 0

    async def look(self, site: Remote, new: Remote, release: str) -> bool:
        """Whether all have been compared. Raises as `Remote` does."""
        if self._open is None:
            self._open = await self._originals(site, release)
            self._asked = len(self._open)
        for original in self._open[:AT_ONCE]:
            await self._compare(original, site, new)
        await asyncio.sleep(0)
        return not self._open

    @property
    def sentence(self) -> str:
        if self.wrong:
            named = "; ".join(self.wrong[:NAMED])
            return f"{len(self.wrong)} of {self._asked} jobs that ran again came out differently: {named}"
        return f"{self.same} of {self._asked} jobs ran again, with the same results"

    async def _originals(self, site: Remote, release: str) -> list[JsonObject]:
        found: list[JsonObject] = []
        async for job in site.jobs(release, "succeeded"):
            if datetime.fromisoformat(job["created"]) < self.began:
                found.append(job)
            if len(found) == self.count:
                break
        return found

    async def _compare(self, original: JsonObject, site: Remote, new: Remote) -> None:
        job, key = original["id"], f"{self.rollout}-shadow-{original['id']}"
        copy = await new.submit((await site.job(job))["request"], key)
        if copy["state"] not in ENDED:
            return
        assert self._open is not None  # noqa: S101  # for the type checker
        self._open.remove(original)
        if copy["state"] != "succeeded":
            problem = copy["problem"] or {"detail": "it was cancelled"}
            self.wrong.append(f"{job} {copy['state']} as {copy['id']}: {problem['detail']}")
        elif await site.result(job) != await site.result(copy["id"]):
            self.wrong.append(f"the result of {job} is another as {copy['id']}")
        else:
            self.same += 1
