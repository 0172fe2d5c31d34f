"""The end of a run: every job that was accepted is looked at, one by one, and what its visitor saw is compared with it."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime

from essaim.cli.client import Client, JsonObject
from essaim.cli.errors import AbsentError
from essaim.cli.jobs.commands import all_tasks
from essaim.cli.jobs.upload import each
from essaim.planning.recording import JobTimes, work_of
from essaim.units import plural
from loadtests.load.visits import Visit

ENDED = ("succeeded", "failed", "cancelled")
LOST = "lost"
SHOWN = 5


@dataclass(frozen=True)
class CheckedJob:
    """A visit, the job as the server has it (None: it knows of none), and the job's tasks.

    A job of one task stands for its task: it began and ended with it.
    """

    visit: Visit
    job: JsonObject | None
    tasks: Sequence[JsonObject]

    @property
    def state(self) -> str:
        return str(self.job["state"]) if self.job else LOST


async def look_up(client: Client, visits: Sequence[Visit]) -> list[CheckedJob]:
    """Every job that was accepted. Raises as `Client`."""

    async def one(visit: Visit) -> CheckedJob:
        try:
            job = await client.get(f"/v1/jobs/{visit.id}")
            return CheckedJob(visit, job, [job] if job["tasks"] == 1 else await all_tasks(client, visit.id))
        except AbsentError:
            return CheckedJob(visit, None, ())

    return await each(one, [visit for visit in visits if visit.id])


async def all_ids(client: Client) -> set[str]:
    """Of every job that the server has."""
    found: set[str] = set()
    cursor = None
    while True:
        page = await client.get("/v1/jobs", limit=200, cursor=cursor)
        found |= {job["id"] for job in page["jobs"]}
        if (cursor := page["cursor"]) is None:
            return found


def faults(
    wanted: int, visits: Sequence[Visit], seen: Sequence[CheckedJob], strangers: Set[str] = frozenset()
) -> list[str]:
    """What is not as it must be. `strangers`: jobs that a server of our own has, and no visitor was told of."""
    found = []
    if len(visits) < wanted:
        found.append(f"only {len(visits)} of {plural(wanted, 'visitor')} came")
    found += _fault("never accepted", [visit.key for visit in visits if not visit.id])
    found += _fault("accepted, and the server has never heard of it", [it.visit.id for it in seen if it.job is None])
    known = [it for it in seen if it.job is not None]
    found += _fault("not ended", [it.visit.id for it in known if it.state not in ENDED])
    found += _fault("failed", [it.visit.id for it in known if it.state == "failed"])
    found += _fault(
        "cancelled, and nobody asked for it",
        [it.visit.id for it in known if it.state == "cancelled" and not it.visit.cancels],
    )
    found += _fault(
        "in another state than its visitor saw at the end",
        [it.visit.id for it in known if it.visit.state in ENDED and it.visit.state != it.state],
    )
    found += _fault(
        "ended, and its visitor never heard of it",
        [it.visit.id for it in known if it.state in ENDED and not it.visit.state and not it.visit.problem],
    )
    found += _fault("there, and nobody was told of it", sorted(strangers))
    for reason in sorted({visit.problem for visit in visits if visit.problem}):
        found += _fault(f"given up ({reason})", [visit.id or visit.key for visit in visits if visit.problem == reason])
    return found


def times(seen: Sequence[CheckedJob], began: float) -> list[JobTimes]:
    """As they are recorded: seconds since the run began, by the generator's clock."""
    shift = clock_shift(seen)
    return [_times(it, began, shift) for it in seen]


def clock_shift(seen: Sequence[CheckedJob]) -> float:
    """How far the server's clock must be ahead, at least, for each job to be made between its submission and its 202."""
    known = [(it.visit, _stamp(it.job["created"]) or 0.0) for it in seen if it.job is not None]
    least = max((made - (visit.accepted or made) for visit, made in known), default=0.0)
    most = min((made - visit.submitted for visit, made in known), default=0.0)
    return max(least, 0.0) or min(most, 0.0)


def _times(seen: CheckedJob, began: float, shift: float) -> JobTimes:
    def since(moment: str | None) -> float | None:
        stamp = _stamp(moment)
        return None if stamp is None else stamp - shift - began

    visit, job = seen.visit, seen.job or {}
    plain = JobTimes(
        id=visit.id,
        submitted=visit.submitted - began,
        accepted=None if visit.accepted is None else visit.accepted - began,
        started=since(job.get("started")),
        ended=since(job.get("ended")),
        state=seen.state,
        tasks=job.get("tasks"),
    )
    spans = [(_stamp(task["started"]), _stamp(task["ended"])) for task in seen.tasks]
    known = [(started, ended) for started, ended in spans if started and ended]
    return replace(plain, work=work_of(known)) if spans else plain


def _stamp(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def _fault(what: str, who: Sequence[str]) -> list[str]:
    if not who:
        return []
    more = f" and {len(who) - SHOWN} more" if len(who) > SHOWN else ""
    return [f"{plural(len(who), 'job')} {what}: {', '.join(who[:SHOWN])}{more}"]
