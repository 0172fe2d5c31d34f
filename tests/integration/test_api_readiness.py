"""Probes: what they are told while a backend is slow or away, and that they are no load for it."""

import asyncio
import shutil
from dataclasses import replace
from typing import Any

import pytest

from essaim.errors import UnavailableError
from essaim.jobs.backends import Backends
from essaim_api import readiness
from tests.integration.conftest import Serving


class MoodyStore:
    """The store behind it; but each look is counted, waits for `open`, and may have an `error` for an answer."""

    def __init__(self) -> None:
        self.looks = 0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self._store: Any = None

    def before(self, backends: Backends) -> Backends:
        self._store = backends.store
        store: Any = self
        return replace(backends, store=store)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get(self, job_id: str) -> Any:
        self.looks += job_id == readiness.NOBODY
        await self.open.wait()
        if self.error:
            raise self.error
        return await self._store.get(job_id)


@pytest.fixture
async def store() -> MoodyStore:
    return MoodyStore()


async def test_whoever_asks_how_often_there_is_one_look_at_a_time(
    serving: Serving, store: MoodyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "HOLDS_SECONDS", 3600.0)
    async with serving(change=store.before) as site:
        store.open.clear()
        asking = [asyncio.create_task(site.http.get("/readyz")) for _ in range(50)]
        while not store.looks:
            await asyncio.sleep(0.01)
        asking[0].cancel()  # the others must not lose what it had begun
        store.open.set()
        assert {(await answer).status_code for answer in asking[1:]} == {200}
        for _ in range(50):
            assert (await site.http.get("/readyz")).status_code == 200
        assert store.looks == 1


async def test_a_backend_that_is_silent_for_a_while_makes_nobody_unready(
    serving: Serving, store: MoodyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(readiness, "HOLDS_SECONDS", 0.0)
    caplog.set_level("INFO", "essaim")
    async with serving(change=store.before) as site:

        async def ask() -> tuple[int, str]:
            answer = await site.http.get("/readyz")
            return answer.status_code, answer.json().get("detail", "")

        assert await ask() == (200, "")
        store.error = UnavailableError("connection refused")
        assert [await ask() for _ in range(3)] == [(200, "")] * 3
        monkeypatch.setattr(readiness, "TOLERATED_SECONDS", 0.0)
        assert [await ask() for _ in range(3)] == [(503, "the job store does not answer: connection refused")] * 3
        store.error = None
        assert await ask() == (200, "")
        monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.1)
        store.open.clear()
        assert await ask() == (503, "the job store does not answer: it is too slow")
    said = [it.message for it in caplog.records if it.message.startswith(("backend.", "http.refused"))]
    assert said == ["backend.silent", "backend.reached", "backend.silent"]


async def test_a_data_folder_that_is_deleted_makes_its_api_unready_at_once(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(readiness, "HOLDS_SECONDS", 0.0)
    caplog.set_level("INFO", "essaim")
    async with serving() as site:
        assert (await site.http.get("/readyz")).status_code == 200
        shutil.rmtree(site.settings.data_dir)
        for _ in range(3):
            answer = await site.http.get("/readyz")
            assert (answer.status_code, "was deleted" in answer.json()["detail"]) == (503, True)
        request = {"words": ["swarm"], "text": "a swarm"}
        assert (await site.http.post("/v1/jobs", json=request)).status_code == 503
    said = [it.message for it in caplog.records if it.message == "backend.silent"]
    assert len(said) == 2  # the queue and the job store
