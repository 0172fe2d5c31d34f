"""Jobs: submit, list, show, follow, cancel, retry."""

import re
from contextlib import suppress
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
from essaim_api.context import Context
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
KEY = Header(description="repeated requests with the same key return the same job")
CALLBACK = Query(description="an https URL to call when the job has ended; its host must be allowed")
PREFER = Header(description="`wait=N`: answer when the job has ended, or after N seconds", examples=["wait=10"])
LAST_EVENT_ID = Header(description="the last event received; the stream resumes after it")
DONE: dict[int, dict[str, Any]] = {200: {"description": "The job", "model": JobDetails}}
ACCEPTED: dict[int, dict[str, Any]] = {202: {"description": "The job, accepted but not finished", "model": JobDetails}}
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
    """The job's id in canonical form. No job has an id that is not a UUID."""
    with suppress(ValueError):
        if (found := str(UUID(job_id))) == job_id.lower():
            return found
    raise JobNotFoundError("no job has this id")


JobId = Annotated[str, Depends(_job_id)]


@endpoint(
    202,
    answers={**ACCEPTED, 200: {"description": "The job, which ended within the time to wait", "model": JobDetails}},
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
    context: Context,
    owner: Owner,
    idempotency_key: Annotated[Key | Absent, KEY] = None,
    prefer: Annotated[list[str] | Absent, PREFER] = None,
    callback: Annotated[Callback | Absent, CALLBACK] = None,
) -> Response:
    """Submit a job: the request as JSON, or as the data of a CloudEvent, whose source and id are its idempotency key."""
    body, event_key = await submitted(request, context)
    job, new = await context.service.submit(body, owner, idempotency_key or event_key, callback)
    headers = {"Location": f"/v1/jobs/{job.id}"}
    if not new:
        headers["Idempotency-Replayed"] = "true"
    if wait := WAIT.search(",".join(prefer or ())):
        seconds = min(int(wait[1]), int(context.settings.max_wait_seconds))
        headers["Preference-Applied"] = f"wait={seconds}"
        job = await until_ended(context, request, job, seconds)
        return details(job, 200 if job.state.ended else 202, headers)
    return details(job, 202, headers)


@endpoint(headers={"Link": "the next page, as `rel=next`"}, errors=[RequestInvalidError, CursorInvalidError])
async def index(
    request: Request,
    response: Response,
    context: Context,
    state: Annotated[list[State] | Absent, Query(description="only these states")] = None,
    release: Annotated[Release | Absent, Query(description="only this release")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[Cursor | Absent, Query(description="from the page before")] = None,
) -> JobPage:
    """Jobs, newest first, without requests and results."""
    page = await context.backends.store.list(states=state or (), release=release, limit=limit, cursor=cursor)
    next_page(request, response, cursor=page.cursor)
    return JobPage(jobs=[summary(job) for job in page.jobs], cursor=page.cursor)


@endpoint(answers=DONE, errors=[JobNotFoundError])
async def show(job_id: JobId, context: Context) -> Response:
    """The job, with its result if it is small."""
    return details(await context.service.get(job_id))


@endpoint(
    answers={
        200: {"description": "The result", "content": {JSON: {"schema": {"$ref": "#/components/schemas/Result"}}}}
    },
    errors=[JobNotFoundError, ResultNotFoundError, TextNotFoundError],
    response_class=Response,
)
async def result(job_id: JobId, context: Context) -> Response:
    """The whole result, whatever its size."""
    source = context.service.open_result(await context.service.get(job_id))
    return Streamed(source, media_type=JSON)


@endpoint(headers={"Link": "the next page, as `rel=next`"}, errors=[JobNotFoundError, RequestInvalidError])
async def tasks(
    job_id: JobId,
    request: Request,
    response: Response,
    context: Context,
    state: Annotated[list[State] | Absent, Query(description="only these states")] = None,
    after: Annotated[int, Query(ge=-1, le=LARGEST, description="only tasks with a higher number")] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> TaskPage:
    """The job's tasks, by number."""
    found = await context.backends.store.tasks(job_id, states=state or (), after=after, limit=limit + 1)
    page = list(found[:limit])
    following = page[-1].number if len(found) > limit else None
    next_page(request, response, after=following)
    return TaskPage(tasks=page, after=following)


@endpoint(
    answers={
        200: {"description": "The events", "content": {"text/event-stream": {"schema": EVENT}}},
        204: {"description": "The job has ended, and the client has received its last event"},
    },
    errors=[JobNotFoundError],
    response_class=Response,
)
async def follow(
    job_id: JobId, context: Context, last_event_id: Annotated[str | Absent, LAST_EVENT_ID] = None
) -> Response:
    """The job as server-sent events `state`, `progress` and `end`, each with the job as data, until it ends.

    The stream may end earlier; the client then reconnects with `Last-Event-ID`, as a browser's EventSource does.
    """
    job = await context.service.get(job_id)
    if job.state.ended and event_id(job) == last_event_id:
        return Response(status_code=204)  # only this stops an EventSource from reconnecting
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(events(context, job, last_event_id), headers=headers)


@endpoint(answers=DONE, errors=[JobNotFoundError])
async def cancel(job_id: JobId, context: Context) -> Response:
    """Cancel the job. A job that has ended does not change."""
    return details(await context.service.cancel(job_id))


@endpoint(202, answers=ACCEPTED, errors=[JobNotFoundError, JobNotRetryableError, RequestInvalidError, QueueFullError])
async def retry(
    job_id: JobId, context: Context, taken_from: Annotated[Release | Absent, TAKEN_FROM] = None
) -> Response:
    """Run a failed job again; succeeded tasks are kept. In another release, or if its texts changed, it starts over."""
    return details(await context.service.retry(job_id, taken_from), 202)
