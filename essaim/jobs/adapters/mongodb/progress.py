"""How far jobs are, told by their tasks. No counter that a crash could leave wrong."""

from collections.abc import Sequence

from essaim.jobs.adapters.mongodb.database import Database
from essaim.jobs.adapters.mongodb.documents import OPEN, Document, Tally, run_of
from essaim.jobs.adapters.mongodb.task_documents import plan_id, task_id
from essaim.jobs.model import State


async def tally(db: Database, job: Document) -> Tally:
    return (await tallies(db, [job])).get(job["_id"], Tally())


async def tallies(db: Database, jobs: Sequence[Document]) -> dict[str, Tally]:
    """By job id; of jobs whose tasks have nothing to tell there is none."""
    telling = [job for job in jobs if job["state"] in OPEN and not _is_untouched(job)]
    if len(telling) == 1 and (telling[0].get("tasks") or 1) == 1:
        return await _of_single_task(db, telling[0])
    owners = {plan: job["_id"] for job in telling for plan in plans_of(job)}
    found: dict[str, Tally] = {}
    if not owners:
        return found
    # Grouped by all three keys of the index, so that the index alone answers, however large the tasks are.
    pipeline: list[Document] = [
        {"$match": {"plan": {"$in": list(owners)}}},
        {"$group": {"_id": {"plan": "$plan", "state": "$state", "progress": "$progress"}, "tasks": {"$sum": 1}}},
    ]
    async for group in await db.tasks.aggregate(pipeline):
        kind, tasks = group["_id"], group["tasks"]
        owner = owners[kind["plan"]]
        ended, progress = found.get(owner, Tally())
        ended += tasks if kind["state"] == State.SUCCEEDED else 0
        found[owner] = Tally(ended, progress + tasks * (kind.get("progress") or 0.0))
    return found


async def all_succeeded(db: Database, job: Document) -> bool:
    """Whether the job is planned and no task of it is left."""
    if job.get("tasks") is None:
        return False
    if job["tasks"] == 1:
        first = await db.tasks.find_one({"_id": task_id(job, 0, "")}, {"state": 1})
        return first is not None and first["state"] == State.SUCCEEDED
    left = [State.QUEUED.value, State.RUNNING.value, State.FAILED.value]
    return await db.tasks.find_one({"plan": {"$in": plans_of(job)}, "state": {"$in": left}}, {"_id": 1}) is None


def plans_of(job: Document) -> list[str]:
    """Where the tasks of a job are: task 0 apart from those of the plan that was the first to be stored."""
    return [plan_id(job, plan) for plan in {"", job.get("plan") or ""}]


def _is_untouched(job: Document) -> bool:
    """No task of it has said anything yet."""
    return (job["state"] == State.QUEUED and run_of(job) == 1) or job.get("first") is not None


async def _of_single_task(db: Database, job: Document) -> dict[str, Tally]:
    first = await db.tasks.find_one({"_id": task_id(job, 0, "")}, {"state": 1, "progress": 1})
    if first is None:
        return {}
    return {job["_id"]: Tally(int(first["state"] == State.SUCCEEDED), first.get("progress", 0.0))}
