"""Workers, statistics and dead letters."""

from typing import Annotated

from fastapi import Query, Request

from essaim.errors import DeadLetterNotFoundError, QueueFullError, RequestInvalidError, RequestTooLargeError
from essaim_api.bodies import parse, read
from essaim_api.context import Context
from essaim_api.endpoint import endpoint
from essaim_api.errors import MediaTypeError
from essaim_api.submissions import JSON, fitting, media_type
from essaim_api.views import DeadLetters, Replay, Replayed, Stats, Workers, dead_letter

WORKER = {
    "id": "worker-7d9f-1",
    "release": "1.4.0",
    "started": "2026-03-01T12:00:00Z",
    "seen": "2026-03-01T12:00:05Z",
    "concurrency": 1,
    "tasks": ["0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10/3"],
}
STATS = {
    "release": "1.4.0",
    "queue": {"ready": 12, "in_flight": 3},
    "workers": 3,
    "jobs": {"1.4.0": {"queued": 2, "running": 1, "succeeded": 240, "failed": 1, "cancelled": 0}},
}
DEAD = {
    "id": "17",
    "reason": "ValueError: broken piece",
    "parked": "2026-03-01T12:00:00Z",
    "event": {"specversion": "1.0", "type": "essaim.task.ready", "source": "/essaim/1.4.0", "id": "0199f3a2/task/3"},
}


@endpoint(example={"workers": [WORKER]})
async def workers(context: Context) -> Workers:
    """The workers that are alive, oldest first."""
    return Workers(workers=list(await context.backends.store.workers()))


@endpoint(example=STATS)
async def stats(context: Context) -> Stats:
    """The length of the queue, the number of workers, and the jobs by release and state."""
    store = context.backends.store
    depth, workers = await context.backends.queue.depth(), len(await store.workers())
    return Stats(release=context.settings.release, queue=depth, workers=workers, jobs=await store.counts())


@endpoint(example={"dead_letters": [DEAD]}, errors=[RequestInvalidError])
async def dead_letters(context: Context, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> DeadLetters:
    """Messages that were parked because every attempt failed, oldest first."""
    found = await context.backends.queue.dead_letters(limit)
    return DeadLetters(dead_letters=[dead_letter(letter) for letter in found])


@endpoint(
    example={"replayed": 1},
    body={JSON: {"schema": {"$ref": "#/components/schemas/Replay"}}},
    errors=[MediaTypeError, RequestTooLargeError, RequestInvalidError, DeadLetterNotFoundError, QueueFullError],
)
async def replay(request: Request, context: Context) -> Replayed:
    """Run the jobs of dead letters again: the given ones, or all without a body. If an id is unknown, none."""
    requested = Replay()
    if body := await read(request, context.settings):
        if media_type(request) != JSON:
            raise MediaTypeError(f"send {JSON}, or no body")
        requested = fitting(Replay, parse(body))
    return Replayed(replayed=await context.service.replay(requested.ids))
