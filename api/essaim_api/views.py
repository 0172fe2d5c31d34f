"""What goes out as JSON, where it is not a type of `essaim.jobs.model` as it stands."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from essaim.jobs import payload
from essaim.jobs.model import DeadLetter, Depth, Job, Problem, State, Task, Text, Worker
from essaim.jobs.results import STORED

SHOWN_BODY = 1000  # characters of a message that cannot be read

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
    """Where to go from a job. `result` is there once the job has succeeded."""

    self: str
    tasks: str
    events: str
    result: str | None


class JobSummary(BaseModel):
    """A job without its request and result."""

    id: str
    state: State
    run: int = Field(description="1, and one more with each retry")
    release: str = Field(description="the version of the software that runs the job")
    owner: str
    created: datetime
    retried: datetime | None = Field(description="when it was last queued again; null in run 1")
    started: datetime | None
    ended: datetime | None
    tasks: int | None = Field(description="how many tasks the request splits into; null until that is known")
    tasks_ended: int
    progress: Annotated[float, Field(ge=0, le=1)]
    problem: Problem | None = Field(description="why the job failed")
    callback: str | None = Field(description="what is called when the job has ended")
    links: Links


class JobDetails(JobSummary):
    """A job. `result` is null before success, and where it is large: then it is only at `links.result`."""

    request: payload.Request
    result: payload.Result | None


class JobPage(BaseModel):
    """Jobs, newest first. `cursor` asks for the next page; null on the last."""

    jobs: list[JobSummary]
    cursor: str | None


class TaskPage(BaseModel):
    """Tasks by number. `after` asks for the next page; null on the last."""

    tasks: list[Task]
    after: int | None


class TextPage(BaseModel):
    """Texts by name. `cursor` asks for the next page; null on the last."""

    texts: list[Text]
    cursor: str | None


class Workers(BaseModel):
    """The workers that live, oldest first."""

    workers: list[Worker]


class Stats(BaseModel):
    """The house in numbers. `release` is the one that answers, whose `queue` this is; `jobs` counts by release and state."""

    release: str
    queue: Depth
    workers: int
    jobs: dict[str, dict[State, int]]


class DeadLetterView(BaseModel):
    """A parked message. `event` is the CloudEvent, or null where it cannot be read: then `body` shows how it begins."""

    id: str
    reason: str
    parked: datetime
    event: dict[str, Any] | None = None
    body: str | None = None


class DeadLetters(BaseModel):
    """The parked messages, oldest first."""

    dead_letters: list[DeadLetterView]


class Replay(BaseModel):
    """Which dead letters to replay; null means all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": ["17"]}, {"ids": None}]})

    ids: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=1000)] | None = None


class Replayed(BaseModel):
    """How many messages went back to the queue."""

    replayed: int


class Health(BaseModel):
    """All is well."""

    status: str = Field(examples=["ok"])


def summary(job: Job) -> JobSummary:
    here = f"/v1/jobs/{job.id}"
    result = f"{here}/result" if job.state is State.SUCCEEDED else None
    links = Links(self=here, tasks=f"{here}/tasks", events=f"{here}/events", result=result)
    values = {name: getattr(job, name) for name in JobSummary.model_fields if name != "links"}
    return JobSummary(**values, links=links)


def details(job: Job, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The job as a response. Request and result are passed on as they are stored: an older release may have stored them."""
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
