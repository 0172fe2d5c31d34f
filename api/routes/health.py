"""Is it alive, and can it do its work? For those who start, stop and route."""

import asyncio
from collections.abc import Awaitable
from uuid import UUID

from api.context import Here
from api.endpoint import endpoint
from api.views import Health
from jobs.errors import JobNotFoundError, TextNotFoundError, UnavailableError

PATIENCE_SECONDS = 2.0  # probes commonly give up after one to three
NOBODY = str(UUID(int=0))


@endpoint()
async def livez() -> Health:
    """The process answers."""
    return Health(status="ok")


@endpoint()
async def readyz(here: Here) -> Health:
    """Queue, job store and text store answer."""
    backends = here.backends
    silent = await asyncio.gather(
        _silence("the queue", backends.queue.depth()),
        _silence("the job store", backends.store.get(NOBODY)),
        _silence("the text store", backends.texts.stat(NOBODY)),
    )
    if any(silent):
        raise UnavailableError("; ".join(filter(None, silent)))
    return Health(status="ok")


async def _silence(name: str, question: Awaitable[object]) -> str | None:
    """What to say of a backend that does not answer."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await question
    except (JobNotFoundError, TextNotFoundError):
        return None
    except (UnavailableError, TimeoutError) as error:
        return f"{name} does not answer: {error or 'it is too slow'}"
    return None
