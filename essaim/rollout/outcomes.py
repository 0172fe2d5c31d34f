"""How the jobs of a release have ended that were submitted since a step began: read over HTTP, page by page."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from essaim.rollout.client import JsonObject, Remote
from essaim.rollout.verdict import Outcomes

ENDED = frozenset({"succeeded", "failed", "cancelled"})
LATE = timedelta(seconds=30)  # a job is dated before the queue has it, and on record only after


@dataclass(frozen=True)
class Seen:
    """`waiting` is how long the job has waited, in seconds, that has waited longest for its first worker."""

    outcomes: Outcomes
    waiting: float


@dataclass
class Window:
    """The jobs of one release from `since` on. What has ended is read once: each look goes back no further than to the oldest
    job that was open at the look before.
    """

    release: str
    since: datetime
    _ended: dict[str, JsonObject] = field(default_factory=dict)
    _settled: datetime | None = None

    async def read(self, remote: Remote) -> Seen:
        """Raises as `Remote` does."""
        open_jobs: list[JsonObject] = []
        floor = self._settled or self.since
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
        self._settled = max(floor, min(oldest, now - LATE))
        queued = [_time(job.get("retried") or job["created"]) for job in open_jobs if job["state"] == "queued"]
        waiting = [(now - since).total_seconds() for since in queued]
        return Seen(outcomes(self._ended.values(), open_jobs, now), max(waiting, default=0.0))


def outcomes(ended: Iterable[JsonObject], open_jobs: Iterable[JsonObject], now: datetime) -> Outcomes:
    """What the verdict wants to know of these jobs."""
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
