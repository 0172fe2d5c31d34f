"""Lists of jobs and of tasks, a page at a time, each read from an index from where the last one ended."""

import base64
import binascii
import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING

from essaim.errors import CursorInvalidError, JobNotFoundError, LeaseLostError
from essaim.jobs.adapters.mongodb.database import Database
from essaim.jobs.adapters.mongodb.documents import OPEN, Document, bytes_from, run_of
from essaim.jobs.adapters.mongodb.first_attempt import first_task
from essaim.jobs.adapters.mongodb.jobs import is_ended, known_head, with_tallies
from essaim.jobs.adapters.mongodb.progress import plans_of
from essaim.jobs.adapters.mongodb.task_documents import number_id, task_from, task_id
from essaim.jobs.model import Page, State, Task

SHOWN = {"result": 0, "first_input": 0}
TASK_SHOWN = {"input": 0, "checkpoint": 0, "result": 0}
PAST_ALL_PLANS = "0"  # after the `/` that follows a number


async def list_page(
    db: Database, states: Collection[State], release: str | None, limit: int, cursor: str | None
) -> Page:
    """With a release and no states all states are named: then the index of releases gives them in order, merged."""
    query: Document = {}
    if states or release is not None:
        query["state"] = {"$in": [state.value for state in set(states or State)]}
    if release is not None:
        query["release"] = release
    if cursor is not None:
        created, job_id = _parse(cursor)
        query["created"] = {"$lte": created}
        query["$or"] = [{"created": {"$lt": created}}, {"_id": {"$lt": job_id}}]
    newest_first = [("created", DESCENDING), ("_id", DESCENDING)]
    found = await db.jobs.find(query, SHOWN).sort(newest_first).limit(limit + 1).to_list()
    chosen = found[:limit]
    more = len(found) > limit
    return Page(await with_tallies(db, chosen), _cursor_at(chosen[-1]) if more else None)


async def tasks(db: Database, job_id: str, states: Collection[State], after: int, limit: int) -> list[Task]:
    job = await known_head(db, job_id)
    if job.get("first") is not None:
        only = task_from(first_task(job), job)
        return [only] if after < 0 < limit and (not states or only.state in states) else []
    query = _tasks_after(job, after)
    if states:
        query["$or"] = [stored for state in set(states) for stored in _stored_as(state, job)]
        if not query["$or"]:
            return []
    found = await db.tasks.find(query, TASK_SHOWN).sort("_id", ASCENDING).limit(limit).to_list()
    return [task_from(task, job) for task in found]


async def results(db: Database, job_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Whoever still merges a job that is complete must not take what is gone for the end of the list."""
    job = await known_head(db, job_id)
    if job.get("purged"):
        raise JobNotFoundError(f"there is no job {job_id}")
    if job.get("tasks") == 1:
        single = await db.tasks.find_one({"_id": task_id(job, 0, "")}, {"number": 1, "state": 1, "result": 1})
        found = [single] if single and after < 0 and single["state"] == State.SUCCEEDED else []
    else:
        query = {**_tasks_after(job, after), "state": "succeeded"}
        page = db.tasks.find(query, {"number": 1, "result": 1}).sort("_id", ASCENDING).limit(limit)
        found = await page.to_list()
    rows = [(task["number"], bytes_from(task.get("result"))) for task in found]
    if job["state"] == State.SUCCEEDED or any(result is None for _, result in rows):
        raise LeaseLostError(f"job {job_id} was completed by somebody else, and the results of its tasks are gone")
    return [(number, result) for number, result in rows if result is not None]


def _tasks_after(job: Document, after: int) -> Document:
    """Those of the plan that was stored; another one may have left some."""
    first, last = number_id(job, max(0, after + 1)), number_id(job, (job.get("tasks") or 1) - 1) + PAST_ALL_PLANS
    return {"_id": {"$gte": first, "$lt": last}, "plan": {"$in": plans_of(job)}}


def _stored_as(state: State, job: Document) -> list[dict[str, Any]]:
    """What is stored for tasks that are in this state now; see `documents.task_state`."""
    run = run_of(job)
    left_over = {"state": "failed", "run": {"$lt": run}}
    match state:
        case State.SUCCEEDED:
            return [{"state": "succeeded"}]
        case State.FAILED:
            return [{"state": "failed", "run": run}]
        case State.CANCELLED:
            return [{"state": {"$in": OPEN}}, left_over] if is_ended(job) else []
        case _ if is_ended(job):
            return []
        case State.RUNNING:
            return [{"state": "running", "run": run}]
        case State.QUEUED:
            return [{"state": "queued"}, left_over, {"state": "running", "run": {"$lt": run}}]


def _cursor_at(job: Document) -> str:
    return base64.urlsafe_b64encode(json.dumps([job["created"], job["_id"]]).encode()).decode().rstrip("=")


def _parse(cursor: str) -> tuple[str, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created, job_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        datetime.fromisoformat(created)
        return created, str(job_id)
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise CursorInvalidError(f"{cursor!r} is no cursor of this service") from error
