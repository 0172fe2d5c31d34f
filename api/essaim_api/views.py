"""Response models that are not types of `essaim.jobs.model`."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from essaim.jobs.model import DeadLetter, Depth, Job, Problem, State, Task, Text, Worker
from essaim.jobs.results import STORED

SHOWN_BODY = 1000  # characters of an unreadable message

EXAMPLE: JsonDict = {
    "id": "0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10",
    "state": "running",
    "run": 1,
    "release": "1.4.0",
    "owner": "anonymous",
    "created": "2026-03-01T12:00:00Z",
    "retried": None,
    "started": "2026-03-01T12:00:01Z",
    "ended": None,
    "tasks": 8,
    "tasks_ended": 3,
    "progress": 0.41,
    "problem": None,
    "callback": None,
    "links": {
        "self": "/v1/jobs/0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10",
        "tasks": "/v1/jobs/0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10/tasks",
        "events": "/v1/jobs/0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10/events",
        "result": None,
    },
}


class Links(BaseModel):
    """Links of a job. `result` is null until the job has succeeded."""

    self: str
    tasks: str
    events: str
    result: str | None


class JobSummary(BaseModel):
    """A job without request and result."""

    id: str
    state: State
    run: int = Field(description="1, plus one for each retry")
    release: str = Field(description="the version of the software that runs the job")
    owner: str
    created: datetime
    retried: datetime | None = Field(description="when it was last retried; null in run 1")
    started: datetime | None
    ended: datetime | None
    tasks: int | None = Field(description="number of tasks; null until the request is split")
    tasks_ended: int
    progress: Annotated[float, Field(ge=0, le=1)]
    problem: Problem | None = Field(description="why the job failed")
    callback: str | None = Field(description="the URL to call when the job has ended")
    links: Links


class JobDetails(JobSummary):
    """A job. `result` is null before success, and if it is large: then fetch `links.result`."""

    request: Any  # of the workload's types: `essaim_api.openapi` says so
    result: Any


class JobPage(BaseModel):
    """Jobs, newest first. `cursor` gets the next page; null on the last."""

    jobs: list[JobSummary]
    cursor: str | None


class TaskPage(BaseModel):
    """Tasks by number. `after` gets the next page; null on the last."""

    tasks: list[Task]
    after: int | None


class TextPage(BaseModel):
    """Texts by name. `cursor` gets the next page; null on the last."""

    texts: list[Text]
    cursor: str | None


class Workers(BaseModel):
    """The workers that are alive, oldest first."""

    workers: list[Worker]


class Stats(BaseModel):
    """`release` is the one that answers, and `queue` is its queue; `jobs` counts all jobs by release and state."""

    release: str
    queue: Depth
    workers: int
    jobs: dict[str, dict[State, int]]


class DeadLetterView(BaseModel):
    """A parked message. `event` is its CloudEvent; if it is unreadable, `event` is null and `body` has the first characters."""

    id: str
    reason: str
    parked: datetime
    event: dict[str, Any] | None = None
    body: str | None = None


class DeadLetters(BaseModel):
    """The parked messages, oldest first."""

    dead_letters: list[DeadLetterView]


class Replay(BaseModel):
    """The dead letters to replay; null means all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": ["17"]}, {"ids": None}]})

    ids: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=1000)] | None = None


class Replayed(BaseModel):
    """The number of messages that went back to the queue."""

    replayed: int


class Health(BaseModel):
    """The service is healthy."""

    status: str = Field(examples=["ok"])


def summary(job: Job) -> JobSummary:
    path = f"/v1/jobs/{job.id}"
    result = f"{path}/result" if job.state is State.SUCCEEDED else None
    links = Links(self=path, tasks=f"{path}/tasks", events=f"{path}/events", result=result)
    values = {name: getattr(job, name) for name in JobSummary.model_fields if name != "links"}
    return JobSummary(**values, links=links)


def details(job: Job, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The job as a response. Request and result are sent as stored, unvalidated: an older release may have stored them."""
    shown = job.result is not None and not job.result.startswith(STORED)
    result = job.result if job.result is not None and shown else b"null"
    parts = [
        summary(job).model_dump_json()[:-1].encode(),
        b',"request":',
        json.dumps(job.request).encode(),
        b',"result":',
        result,
        b"}",
    ]
    return Response(b"".join(parts), status, headers, "application/json")


def dead_letter(letter: DeadLetter) -> DeadLetterView:
    body = None if letter.event else letter.body.decode("utf-8", "replace")[:SHOWN_BODY]
    return DeadLetterView(id=letter.id, reason=letter.reason, parked=letter.parked, event=letter.event, body=body)
