"""A job as it changes: waiting for its end, and as server-sent events. Both look at the store from time to time."""

import time
from collections.abc import AsyncIterator
from hashlib import sha256

from fastapi import Request
from fastapi.sse import format_sse_event

from essaim.errors import JobNotFoundError, UnavailableError
from essaim.jobs.model import Job
from essaim.telemetry import log
from essaim_api.context import Context
from essaim_api.views import summary

LOOK_SECONDS = 0.25  # one small read each: fast enough for people
FIRST_LOOK_SECONDS = 0.02  # small jobs end at once; doubles up to that
QUIET_SHARE = 0.05  # of the time in which nothing has changed
LONGEST_LOOK_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 15.0  # proxies give up on connections that are silent for a minute, some for less
RESUME_MILLISECONDS = 1000


def rest(quiet: float) -> float:
    """Seconds until the next look at a job in which nothing has changed for so many.

    Whoever waits for a job that waits costs little: where many do, because the store is slow, looking shall not keep it slow.
    """
    return min(max(LOOK_SECONDS, quiet * QUIET_SHARE), LONGEST_LOOK_SECONDS)


async def until_ended(here: Context, request: Request, job: Job, seconds: float) -> Job:
    """The job when it has ended, or as it is when the time is over, the client has gone or the server leaves."""
    began, pause = time.monotonic(), FIRST_LOOK_SECONDS
    deadline = began + seconds
    while not job.state.ended and (left := deadline - time.monotonic()) > 0:
        if await here.drains_within(min(pause, left)) or await request.is_disconnected():
            break
        job = await here.service.get(job.id)
        pause = min(pause * 2, rest(time.monotonic() - began))
    return job


def event_id(job: Job) -> str:
    """Names what can be seen of the job: two equal ids, nothing new."""
    seen = f"{job.run} {job.state} {job.tasks} {job.tasks_ended} {job.progress:.6f}"
    return sha256(seen.encode()).hexdigest()[:16]


async def events(here: Context, job: Job, last_id: str | None) -> AsyncIterator[bytes]:
    """Events `state`, `progress` and `end`, each with the job, from the first that differs from what `last_id` names.

    Ends after `end`, after `stream_seconds`, and when the server leaves; a client resumes with the last id it saw.
    """
    deadline = time.monotonic() + here.settings.stream_seconds
    stage, changed = (job.state, job.run) if event_id(job) == last_id else None, time.monotonic()
    spoke = changed
    yield format_sse_event(retry=RESUME_MILLISECONDS)
    while True:
        now = time.monotonic()
        if event_id(job) != last_id:
            last_id, changed, spoke = event_id(job), now, now
            name = "end" if job.state.ended else "progress" if stage == (job.state, job.run) else "state"
            yield format_sse_event(event=name, id=last_id, data_str=summary(job).model_dump_json())
        elif now - spoke > KEEP_ALIVE_SECONDS:
            spoke = now
            yield format_sse_event(comment="still here")
        stage = (job.state, job.run)
        if job.state.ended or now > deadline or await here.drains_within(rest(now - changed)):
            return
        try:
            job = await here.service.get(job.id)
        except (JobNotFoundError, UnavailableError) as error:
            log("http.stream_ended", job=job.id, reason=str(error))
            return  # resuming tells the client what it is
