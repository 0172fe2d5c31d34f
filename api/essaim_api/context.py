"""The context that every route gets: built once by `create_app`, injected by FastAPI."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from essaim.jobs.payload import Payload
from essaim_api.readiness import Readiness

if TYPE_CHECKING:  # start-up time
    from essaim.jobs.backends import Backends
    from essaim.jobs.service import JobService
    from essaim.jobs.settings import Settings


@dataclass(frozen=True)
class AppContext:
    """`tokens` maps the digest of a token to its owner. `draining` is set when the server stops: waits and streams end."""

    settings: "Settings"
    backends: "Backends"
    service: "JobService"
    readiness: Readiness
    payload: Payload
    tokens: dict[bytes, str] = field(repr=False)
    draining: asyncio.Event = field(default_factory=asyncio.Event)

    async def drains_within(self, seconds: float) -> bool:
        """Sleep, but wake up when the server stops. Returns whether it does."""
        try:
            async with asyncio.timeout(seconds):
                return await self.draining.wait()
        except TimeoutError:
            return False


def context_of(request: Request) -> AppContext:
    context: AppContext = request.app.state.context
    return context


async def _context(request: Request) -> AppContext:
    return context_of(request)


Context = Annotated[AppContext, Depends(_context)]
