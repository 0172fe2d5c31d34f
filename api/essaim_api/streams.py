"""Follow a job: wait for its end, or stream its changes as server-sent events. Both poll the store."""

import time
from collections.abc import AsyncIterator
from hashlib import sha256

from fastapi import Request
from fastapi.sse import format_sse_event

from essaim.errors import JobNotFoundError, UnavailableError
from essaim.jobs.model import Job
from essaim.telemetry import log
from essaim_api.context import AppContext
from essaim_api.views import summary

LOOK_SECONDS = 0.25  # each is one small read
FIRST_LOOK_SECONDS = 0.02  # small jobs end at once; doubles up to LOOK_SECONDS
QUIET_SHARE = 0.05  # the pause, as a share of the time without a change
LONGEST_LOOK_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 15.0  # proxies give up on connections that are silent for a minute, some for less
RESUME_MILLISECONDS = 1000


def rest(quiet: float) -> float:
    """Seconds to pause before polling again a job that has not changed for `quiet` seconds.

    The longer it is quiet, the less often it is polled: many waiting clients must not keep a slow store slow.
    """
    return min(max(LOOK_SECONDS, quiet * QUIET_SHARE), LONGEST_LOOK_SECONDS)


async def until_ended(context: AppContext, request: Request, job: Job, seconds: float) -> Job:
    """Wait for the job to end, for the time to run out, the client to leave or the server to stop; return the job."""
    began, pause = time.monotonic(), FIRST_LOOK_SECONDS
    deadline = began + seconds
    while not job.state.ended and (left := deadline - time.monotonic()) > 0:
        if await context.drains_within(min(pause, left)) or await request.is_disconnected():
            break
        job = await context.service.get(job.id)
        pause = min(pause * 2, rest(time.monotonic() - began))
    return job


def event_id(job: Job) -> str:
    """Identifies the visible state of the job: equal ids mean no change."""
    seen = f"{job.run} {job.state} {job.tasks} {job.tasks_ended} {job.progress:.6f}"
    return sha256(seen.encode()).hexdigest()[:16]


async def events(context: AppContext, job: Job, last_id: str | None) -> AsyncIterator[bytes]:
    """Events `state`, `progress` and `end`, each with the job, starting with the first that is not `last_id`.

    Ends after `end`, after `stream_seconds`, or when the server stops; a client resumes with the last id it received.
    """
    deadline = time.monotonic() + context.settings.stream_seconds
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
        if job.state.ended or now > deadline or await context.drains_within(rest(now - changed)):
            return
        try:
            job = await context.service.get(job.id)
        except (JobNotFoundError, UnavailableError) as error:
            log("http.stream_ended", job=job.id, reason=str(error))
            return  # the client learns the reason when it resumes
