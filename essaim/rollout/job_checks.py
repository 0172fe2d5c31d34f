"""Finished jobs of the old release, run again on the new one, whose results must be the same."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from essaim.rollout.client import JsonObject, Remote
from essaim.rollout.outcomes import ENDED

AT_ONCE = 10
NAMED = 3  # jobs that a sentence names


@dataclass
class Shadow:
    """`count` jobs that had succeeded before `began`, newest first; `rollout` names their copies: none is made twice.

    Where a copy comes out differently, the old release runs it again, too: what it was about may have changed since, and then
    `moot` counts it.
    """

    rollout: str
    count: int
    began: datetime
    same: int = 0
    moot: int = 0
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
        moot = f"; {self.moot} came out differently on the old release, too, and say nothing" if self.moot else ""
        return f"{self.same} of {self._asked} jobs ran again, with the same results{moot}"

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
        request = (await site.job(job))["request"]
        copy = await new.submit(request, key)
        if copy["state"] not in ENDED:
            return
        outcome = await _outcome(new, copy)
        other = outcome != await _outcome(site, original)
        if other:
            again = await site.submit(request, f"{key}-again")
            if again["state"] not in ENDED:
                return
            other = outcome != await _outcome(site, again)
            self.moot += not other
        else:
            self.same += 1
        assert self._open is not None  # noqa: S101  # for the type checker
        self._open.remove(original)
        if other and copy["state"] != "succeeded":
            problem = copy["problem"] or {"detail": "it was cancelled"}
            self.wrong.append(f"{job} {copy['state']} as {copy['id']}: {problem['detail']}")
        elif other:
            self.wrong.append(f"the result of {job} is another as {copy['id']}")


async def _outcome(remote: Remote, job: JsonObject) -> object:
    """What two runs of one request are to have in common: the result, or that there is none."""
    return await remote.result(job["id"]) if job["state"] == "succeeded" else job["state"]
