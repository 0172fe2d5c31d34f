"""How a rollout checks jobs: outcomes by release, the smoke job, shadow runs, and jobs that run again after a rollback."""

import asyncio
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from essaim.rollout.client import Remote, RemoteError
from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.service import JsonObject
from essaim.rollout.verdict import Outcomes

MOST_TRIES = 3  # until the split is in force, requests still reach the new release, and their jobs may fail again
NOT_RETRYABLE = 409  # it has ended meanwhile, or somebody else has taken it
LOOKED_AT = 50  # jobs of the old release, of which the quickest is copied
SCHEMA_EXAMPLE = "the first example of its request schema"
SMOKE_HINT = "name a file that holds a request with --smoke"
ENDED = frozenset({"succeeded", "failed", "cancelled"})
LATE = timedelta(seconds=30)  # a job is dated before the queue has it, and on record only after
AT_ONCE = 10
NAMED = 3  # jobs that a sentence names


@dataclass(frozen=True)
class JobsSeen:
    """`waiting`: seconds that the longest-queued job has waited for its first worker."""

    outcomes: Outcomes
    waiting: float


@dataclass
class Window:
    """The jobs of one release from `since` on. Ended jobs are read once: each read goes back to the oldest job that was
    open at the read before.
    """

    release: str
    since: datetime
    _ended: dict[str, JsonObject] = field(default_factory=dict)
    _read_from: datetime | None = None

    async def read(self, remote: Remote) -> JobsSeen:
        """Raises as `Remote` does."""
        open_jobs: list[JsonObject] = []
        floor = self._read_from or self.since
        async for job in remote.jobs(self.release):
            if _time(job["created"]) < floor:
                break
            if job["state"] in ENDED:
                self._ended[job["id"]] = job
            else:
                open_jobs.append(job)
                self._ended.pop(job["id"], None)  # it runs again
        now = remote.clock.now()
        oldest = min((_time(job["created"]) for job in open_jobs), default=now)
        self._read_from = max(floor, min(oldest, now - LATE))
        queued = [_time(job.get("retried") or job["created"]) for job in open_jobs if job["state"] == "queued"]
        waiting = [(now - since).total_seconds() for since in queued]
        return JobsSeen(outcomes_of(self._ended.values(), open_jobs, now), max(waiting, default=0.0))


def outcomes_of(ended: Iterable[JsonObject], open_jobs: Iterable[JsonObject], now: datetime) -> Outcomes:
    """The numbers that a verdict needs."""
    ended = tuple(ended)
    succeeded = [job for job in ended if job["state"] == "succeeded"]
    return Outcomes(
        succeeded=len(succeeded),
        failed=sum(job["state"] == "failed" for job in ended),
        seconds=tuple((_time(job["ended"]) - _time(job["started"])).total_seconds() for job in succeeded),
        running=tuple((now - _time(job["started"])).total_seconds() for job in open_jobs if job["started"]),
    )


def _time(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


async def choose_smoke_request(site: Remote, new: Remote, old_release: str) -> tuple[object, str]:
    """A request, and where it is from: the quickest job that has succeeded lately, or the example that the release gives.

    Raises `RolloutRefusedError` where there is neither.
    """
    lately: list[JsonObject] = []
    async for job in site.jobs(old_release, "succeeded"):
        lately.append(job)
        if len(lately) == LOOKED_AT:
            break
    if lately:
        quickest = min(lately, key=lambda job: _time(job["ended"]) - _time(job["created"]))["id"]
        return (await site.job(quickest))["request"], f"a copy of job {quickest}"
    if (request := await example_request(new)) is not None:
        return request, SCHEMA_EXAMPLE
    raise RolloutRefusedError(f"there is no job to try the new release with: {SMOKE_HINT}")


async def example_request(new: Remote) -> object:
    """The first one that the release itself gives; None where it gives none."""
    schema = (await new.get("/openapi.json"))["components"]["schemas"].get("Request", {})
    return next(iter(schema.get("examples", ())), None)


def smoke_key(rollout: str, request: object) -> str:
    """The same request is the same job, whoever takes the rollout up."""
    return f"{rollout}-smoke-{hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:12]}"


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

    async def advance(self, site: Remote, new: Remote, release: str) -> bool:
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
            if _time(job["created"]) < self.began:
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
    """The part that two runs of one request must share: the result, or the state without one."""
    return await remote.result(job["id"]) if job["state"] == "succeeded" else job["state"]


@dataclass
class Requeue:
    """Jobs of `release` since `opened`. `left`: so many still run there; `states`: of those that run again."""

    release: str
    opened: datetime
    left: int = 0
    tries: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    async def advance(self, site: Remote, *, all_of_them: bool = False) -> bool:
        """Take over failed and queued jobs, with `all_of_them` also running ones. Returns whether all have ended.

        Raises as `Remote` does.
        """
        self.left, taken = 0, []
        async for job in site.jobs(self.release):
            if _time(job["created"]) < self.opened:
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
