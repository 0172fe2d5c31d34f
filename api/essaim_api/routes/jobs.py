"""Jobs: submit, look, follow, cancel, retry."""

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse
from pydantic import StringConstraints
from pydantic.json_schema import SkipJsonSchema

from essaim.errors import (
    CallbackRefusedError,
    CursorInvalidError,
    IdempotencyConflictError,
    JobNotFoundError,
    JobNotRetryableError,
    MessageUnreadableError,
    QueueFullError,
    RequestInvalidError,
    RequestTooLargeError,
    ResultNotFoundError,
    TextNotFoundError,
)
from essaim.jobs.model import State
from essaim_api.bodies import Streamed
from essaim_api.context import Here
from essaim_api.endpoint import endpoint
from essaim_api.errors import MediaTypeError
from essaim_api.links import next_page
from essaim_api.security import Owner
from essaim_api.streams import event_id, events, until_ended
from essaim_api.submissions import CALLED, CLOUD_EVENT, JSON, Callback, Key, submitted
from essaim_api.views import JobDetails, JobPage, TaskPage, details, summary

WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?(?=$|[,;\s])', re.IGNORECASE)
Release = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z0-9.-]+$")]
Cursor = Annotated[str, StringConstraints(max_length=200, pattern=r"^[!-~]+$")]
Absent = SkipJsonSchema[None]  # no value of its own in the OpenAPI document
KEY = Header(description="the same key gives the same job, once")
CALLBACK = Query(description="an https URL that is called when the job has ended; its host must be allowed here")
PREFER = Header(description="`wait=N`: answer when the job has ended, or after N seconds", examples=["wait=10"])
LAST_EVENT_ID = Header(description="the last event that was seen; sent again is only what came after it")
DONE: dict[int, dict[str, Any]] = {200: {"description": "The job, as it is", "model": JobDetails}}
ACCEPTED: dict[int, dict[str, Any]] = {202: {"description": "The job, still to be done", "model": JobDetails}}
TAKEN_FROM = Query(alias="from", description="also where the job is still queued or running in this release")
EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["state", "progress", "end"]},
        "id": {"type": "string"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/JobSummary"},
        },
    },
}
LARGEST = 2**31 - 1


async def _job_id(job_id: Annotated[str, Path(alias="id", json_schema_extra={"format": "uuid"})]) -> str:
    """The job's id in its one spelling. What is no UUID is the id of no job."""
    try:
        found = str(UUID(job_id))
    except ValueError:
        raise JobNotFoundError("no job has this id") from None
    if found != job_id.lower():
        raise JobNotFoundError("no job has this id")
    return found


JobId = Annotated[str, Depends(_job_id)]


@endpoint(
    202,
    answers={**ACCEPTED, 200: {"description": "The job, ended within the time to wait", "model": JobDetails}},
    headers={"Location": "the job", "Preference-Applied": "`wait=N`, as granted", "Idempotency-Replayed": "`true`"},
    body={
        JSON: {"schema": {"$ref": "#/components/schemas/Request"}},
        CLOUD_EVENT: {"schema": {"$ref": "#/components/schemas/RequestEvent"}},
    },
    body_required=True,
    errors=[
        MessageUnreadableError,
        MediaTypeError,
        RequestTooLargeError,
        RequestInvalidError,
        IdempotencyConflictError,
        CallbackRefusedError,
        QueueFullError,
    ],
    openapi_extra={"callbacks": CALLED},
)
async def submit(
    request: Request,
    here: Here,
    owner: Owner,
    idempotency_key: Annotated[Key | Absent, KEY] = None,
    prefer: Annotated[list[str] | Absent, PREFER] = None,
    callback: Annotated[Callback | Absent, CALLBACK] = None,
) -> Response:
    """Submit a job: its request as JSON, or as the data of a CloudEvent, whose source and id are its key."""
    body, event_key = await submitted(request, here)
    job, new = await here.service.submit(body, owner, idempotency_key or event_key, callback)
    headers = {"Location": f"/v1/jobs/{job.id}"}
    if not new:
        headers["Idempotency-Replayed"] = "true"
    if asked := WAIT.search(",".join(prefer or ())):
        seconds = min(int(asked[1]), int(here.settings.max_wait_seconds))
        headers["Preference-Applied"] = f"wait={seconds}"
        job = await until_ended(here, request, job, seconds)
        return details(job, 200 if job.state.ended else 202, headers)
    return details(job, 202, headers)


@endpoint(headers={"Link": "the next page, as `rel=next`"}, errors=[RequestInvalidError, CursorInvalidError])
async def index(
    request: Request,
    response: Response,
    here: Here,
    state: Annotated[list[State] | Absent, Query(description="only these states")] = None,
    release: Annotated[Release | Absent, Query(description="only this release")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[Cursor | Absent, Query(description="from the page before")] = None,
) -> JobPage:
    """Jobs, newest first, without their requests and results."""
    page = await here.backends.store.list(states=state or (), release=release, limit=limit, cursor=cursor)
    next_page(request, response, cursor=page.cursor)
    return JobPage(jobs=[summary(job) for job in page.jobs], cursor=page.cursor)


@endpoint(answers=DONE, errors=[JobNotFoundError])
async def show(job_id: JobId, here: Here) -> Response:
    """The job, with its result where that is small."""
    return details(await here.service.get(job_id))


@endpoint(
    answers={
        200: {"description": "The result", "content": {JSON: {"schema": {"$ref": "#/components/schemas/Result"}}}}
    },
    errors=[JobNotFoundError, ResultNotFoundError, TextNotFoundError],
    response_class=Response,
)
async def result(job_id: JobId, here: Here) -> Response:
    """The whole result, however large, as it is stored."""
    source = here.service.open_result(await here.service.get(job_id))
    return Streamed(source, media_type=JSON)


@endpoint(headers={"Link": "the next page, as `rel=next`"}, errors=[JobNotFoundError, RequestInvalidError])
async def tasks(
    job_id: JobId,
    request: Request,
    response: Response,
    here: Here,
    state: Annotated[list[State] | Absent, Query(description="only these states")] = None,
    after: Annotated[int, Query(ge=-1, le=LARGEST, description="only tasks with a higher number")] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> TaskPage:
    """The job's tasks, by number."""
    found = await here.backends.store.tasks(job_id, states=state or (), after=after, limit=limit + 1)
    page = list(found[:limit])
    following = page[-1].number if len(found) > limit else None
    next_page(request, response, after=following)
    return TaskPage(tasks=page, after=following)


@endpoint(
    answers={
        200: {"description": "The events", "content": {"text/event-stream": {"schema": EVENT}}},
        204: {"description": "The job has ended, and the client has seen that"},
    },
    errors=[JobNotFoundError],
    response_class=Response,
)
async def follow(job_id: JobId, here: Here, last_event_id: Annotated[str | Absent, LAST_EVENT_ID] = None) -> Response:
    """The job as server-sent events `state`, `progress` and `end`, each with the job as data, to its end.

    The stream may end earlier; a client then comes back with `Last-Event-ID`, as a browser's EventSource does by itself.
    """
    job = await here.service.get(job_id)
    if job.state.ended and event_id(job) == last_event_id:
        return Response(status_code=204)  # an EventSource stops at this, and at nothing else
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(events(here, job, last_event_id), headers=headers)


@endpoint(answers=DONE, errors=[JobNotFoundError])
async def cancel(job_id: JobId, here: Here) -> Response:
    """Cancel the job. One that has ended stays as it is."""
    return details(await here.service.cancel(job_id))


@endpoint(202, answers=ACCEPTED, errors=[JobNotFoundError, JobNotRetryableError, RequestInvalidError, QueueFullError])
async def retry(job_id: JobId, here: Here, taken_from: Annotated[Release | Absent, TAKEN_FROM] = None) -> Response:
    """Run a failed job again, from its succeeded tasks on; in another release, or if its texts changed, anew."""
    return details(await here.service.retry(job_id, taken_from), 202)
