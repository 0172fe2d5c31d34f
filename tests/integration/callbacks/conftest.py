"""Jobs that bring a callback along, and a receiver that is called."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from essaim.jobs.model import Job
from tests.conftest import BuildHouse
from tests.integration.working import WorkingSite, working
from tests.receiver import Call, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = {"callback_hosts": "127.0.0.1, localhost", "callback_secret": SECRET, "callback_private_addresses": True}

on_services = pytest.mark.parametrize("site", ["embedded", "services"], indirect=True)


class Site(WorkingSite):
    async def submit(self, callback: str | None, **options: object) -> Job:
        request = self.make_request(journal=str(self.house.folder / "journal"), **{"steps": 1, **options})
        job, _ = await self.service.submit(request, "tester", callback=callback)
        return job


@pytest.fixture
async def site(
    request: pytest.FixtureRequest,
    build_house: BuildHouse,
    journal_request: type[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Site]:
    """On SQLite and files; `on_services` is what runs a test on RabbitMQ, MongoDB and S3 too."""
    kind, bounds = getattr(request, "param", "embedded"), {"max_attempts": 2, "max_tasks_per_job": 100}
    async with working(kind, build_house, monkeypatch, **SETTINGS, **bounds) as (house, backends):
        yield Site(house, backends, journal_request)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with receiver.serve():
        yield receiver


def data(call: Call) -> dict[str, Any]:
    return dict(json.loads(call.body)["data"])
