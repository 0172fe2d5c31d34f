"""The house itself: its workers, its numbers, its dead letters."""

from typing import Annotated

from fastapi import Query, Request

from essaim.errors import DeadLetterNotFoundError, QueueFullError, RequestInvalidError, RequestTooLargeError
from essaim_api.bodies import parse, read
from essaim_api.context import Here
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
async def workers(here: Here) -> Workers:
    """The workers that have reported lately, oldest first."""
    return Workers(workers=list(await here.backends.store.workers()))


@endpoint(example=STATS)
async def stats(here: Here) -> Stats:
    """How much waits, who works, and how the jobs stand."""
    store = here.backends.store
    depth, workers = await here.backends.queue.depth(), len(await store.workers())
    return Stats(release=here.settings.release, queue=depth, workers=workers, jobs=await store.counts())


@endpoint(example={"dead_letters": [DEAD]}, errors=[RequestInvalidError])
async def dead_letters(here: Here, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> DeadLetters:
    """Messages that no attempt could settle, oldest first."""
    found = await here.backends.queue.dead_letters(limit)
    return DeadLetters(dead_letters=[dead_letter(letter) for letter in found])


@endpoint(
    example={"replayed": 1},
    body={JSON: {"schema": {"$ref": "#/components/schemas/Replay"}}},
    errors=[MediaTypeError, RequestTooLargeError, RequestInvalidError, DeadLetterNotFoundError, QueueFullError],
)
async def replay(request: Request, here: Here) -> Replayed:
    """Revive the jobs behind dead letters: those named, or all without a body. If one is unknown, none."""
    wanted = Replay()
    if body := await read(request, here.settings):
        if media_type(request) != JSON:
            raise MediaTypeError(f"send {JSON}, or nothing")
        wanted = fitting(Replay, parse(body))
    return Replayed(replayed=await here.service.replay(wanted.ids))
