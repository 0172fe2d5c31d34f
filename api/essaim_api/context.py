"""What every route works with: built once by `create_app`, handed to the routes by FastAPI."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from essaim_api.readiness import Readiness

if TYPE_CHECKING:  # neither is needed to import a route, and both cost start-up time
    from essaim.jobs.backends import Backends
    from essaim.jobs.service import JobService
    from essaim.jobs.settings import Settings


@dataclass(frozen=True)
class Context:
    """`tokens` is the owner by digest of a token. `draining` is set when the server is to leave: waits and streams end then."""

    settings: "Settings"
    backends: "Backends"
    service: "JobService"
    readiness: Readiness
    tokens: dict[bytes, str] = field(repr=False)
    draining: asyncio.Event = field(default_factory=asyncio.Event)

    async def drains_within(self, seconds: float) -> bool:
        """Sleep, but for no longer than the server stays. Returns whether it leaves."""
        try:
            async with asyncio.timeout(seconds):
                return await self.draining.wait()
        except TimeoutError:
            return False


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _context(request: Request) -> Context:
    return context_of(request)


Here = Annotated[Context, Depends(_context)]
