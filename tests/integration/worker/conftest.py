"""Jobs, each with a journal of its own, and what their workers have written there."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from essaim.jobs.model import Job, State
from tests.conftest import BuildHouse
from tests.integration.working import WorkingSite, working


class Site(WorkingSite):
    _journals = 0

    def request(self, **options: object) -> Any:
        self._journals += 1
        return self.make_request(journal=str(self.house.folder / f"journal-{self._journals}"), **options)

    async def submit(self, **options: object) -> tuple[Job, Path]:
        request = self.request(**options)
        job, _ = await self.service.submit(request, "tester")
        return job, Path(request.journal)

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
    build_house: BuildHouse,
    journal_request: type[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Site]:
    async with working(request.param, build_house, monkeypatch) as (house, backends):
        yield Site(house, backends, journal_request)
