"""A house with real workers, on SQLite and files or on RabbitMQ, MongoDB and S3, and a workload that keeps a journal."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from jobs.backends import Backends
from jobs.model import Job, State
from jobs.service import JobService
from tests.conftest import ROOT, House
from tests.servers import S3, services

Eventually = Callable[..., Awaitable[Any]]


class Site:
    """A house, its backends, and what a client does with them."""

    def __init__(self, house: House, backends: Backends, request: type[Any], eventually: Eventually) -> None:
        self.house = house
        self.backends = backends
        self.service = JobService(backends, house.settings)
        self.eventually = eventually
        self._request = request
        self._journals = 0

    def request(self, **options: object) -> Any:
        self._journals += 1
        return self._request(journal=str(self.house.folder / f"journal-{self._journals}"), **options)

    async def submit(self, **options: object) -> tuple[Job, Path]:
        request = self.request(**options)
        job, _ = await self.service.submit(request, "tester")
        return job, Path(request.journal)

    async def ended(self, job: Job) -> Job:
        async def look() -> Job | None:
            now = await self.service.get(job.id)
            return now if now.state.ended else None

        try:
            found: Job = await self.eventually(look)
        except TimeoutError:
            raise AssertionError(f"{await self.service.get(job.id)}\n{self.house.logs()}") from None
        return found

    async def result(self, job: Job) -> dict[str, Any]:
        ended = await self.ended(job)
        assert ended.state is State.SUCCEEDED, (ended, self.house.logs())
        return dict(json.loads(await self.service.result(ended)))

    async def has_workers(self, count: int) -> bool:
        return len(await self.backends.store.workers()) == count


def steps(journal: Path) -> list[str]:
    return journal.read_text().splitlines() if journal.exists() else []


def redone(journal: Path) -> int:
    taken = Counter((line.split()[0], line.split()[2]) for line in steps(journal))
    return sum(count - 1 for count in taken.values())


@pytest.fixture(params=["embedded", "services"])
async def site(
    request: pytest.FixtureRequest,
    build_house: Callable[..., House],
    journal_request: type[Any],
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        settings: dict[str, str] = {}
        if request.param == "services":
            settings = await stack.enter_async_context(services())
            for name, value in S3.items():
                monkeypatch.setenv(name, value)
        house = build_house(ROOT / "tests" / "houses" / "journal", **settings)
        house.environment.update(S3)
        backends = await stack.enter_async_context(house.backends())
        stack.callback(house.kill_all)  # before its queue goes, or it would make it again
        yield Site(house, backends, journal_request, eventually)
