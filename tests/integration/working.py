"""A house with real workers and a workload that keeps a journal, on SQLite and files or on RabbitMQ, MongoDB and S3."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from essaim.jobs.backends import Backends
from essaim.jobs.model import Job
from essaim.jobs.service import JobService
from tests.conftest import BuildHouse, House, eventually
from tests.servers import S3, services

Working = tuple[House, Backends]


@asynccontextmanager
async def working(
    kind: str, build_house: BuildHouse, monkeypatch: pytest.MonkeyPatch, **settings: object
) -> AsyncIterator[Working]:
    """`kind`: "embedded" or "services". Workers come with `house.start`."""
    async with AsyncExitStack() as stack:
        if kind == "services":
            settings |= await stack.enter_async_context(services())
            for name, value in S3.items():
                monkeypatch.setenv(name, value)
        house = build_house("journal", **settings)
        house.environment.update(S3)
        backends = await stack.enter_async_context(house.backends())
        stack.callback(house.kill_all)  # before its queue goes, or it would make it again
        yield house, backends


class WorkingSite:
    """The house, its backends, and how a client waits for what comes of its jobs."""

    def __init__(self, house: House, backends: Backends, request: type[Any]) -> None:
        self.house = house
        self.backends = backends
        self.service = JobService(backends, house.settings)
        self.make_request = request

    async def until(self, condition: Callable[[], Any]) -> Any:
        """What it gives as soon as that is true. Where it never is, the workers' lines say why."""
        try:
            return await eventually(condition)
        except TimeoutError:
            raise AssertionError(self.house.logs()) from None

    async def logged(self, pattern: str) -> re.Match[str]:
        """What the workers log may come after what a client sees: where it matches, once it does."""
        found: re.Match[str] = await self.until(lambda: re.search(pattern, self.house.logs()))
        return found

    async def ended(self, job: Job) -> Job:
        async def look() -> Job | None:
            now = await self.service.get(job.id)
            return now if now.state.ended else None

        try:
            found: Job = await self.until(look)
        except AssertionError as error:
            raise AssertionError(f"{await self.service.get(job.id)}\n{error}") from None
        return found
