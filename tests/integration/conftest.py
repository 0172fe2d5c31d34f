"""The API for tests: the real app on the real server, sockets included, over SQLite and files in a folder of the test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from essaim.jobs.backends import Backends, open_backends
from essaim.jobs.model import Claimed, Job
from essaim.jobs.settings import Settings, load_settings
from essaim_api.app import create_app
from essaim_api.server import HttpServer, address, listen
from tests.api_server import ApiServer, api_server
from tests.integration.otlp_receiver import Collected, receiving
from tests.integration.submissions import REQUEST

Serving = Callable[..., AbstractAsyncContextManager["Site"]]


@dataclass(frozen=True)
class Site:
    """A running API, and what stands behind it."""

    http: httpx.AsyncClient
    backends: Backends
    settings: Settings
    server: HttpServer
    port: int

    async def submit(self, **request: object) -> str:
        """The id of a new job."""
        response = await self.http.post("/v1/jobs", json={**REQUEST, **request})
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    async def claim(self, job_id: str, number: int = 0) -> Claimed:
        claimed = await self.backends.store.claim(job_id, number, "tester")
        assert isinstance(claimed, Claimed)
        return claimed

    async def succeed(self, job_id: str, result: bytes = b'{"counts":{"swarm":1},"texts":{}}') -> None:
        """Do what a worker does with a job of one task."""
        claimed = await self.claim(job_id)
        await self.backends.store.plan(job_id, 1, [b"{}"])
        packed = await self.backends.results.pack(f"{job_id}/0", result)
        await self.backends.store.finish(claimed.claim, packed)
        await self.backends.store.complete((await self.claim(job_id)).claim, packed)

    async def jobs(self) -> list[dict[str, Any]]:
        """The newest, as the API shows them."""
        found: list[dict[str, Any]] = (await self.http.get("/v1/jobs")).json()["jobs"]
        return found

    async def job(self, job_id: str) -> Job:
        return await self.backends.store.get(job_id)

    async def exchange(self, *parts: bytes) -> bytes:
        """Send these bytes as they are, and read until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(30):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def _serving(
    folder: Path, change: Callable[[Backends], Backends], options: dict[str, Any]
) -> AsyncIterator[Site]:
    settings = load_settings(data_dir=folder, api_port=0, **options)
    with listen(settings) as listening:
        url, port = address(listening), listening.getsockname()[1]
        async with open_backends(settings) as backends:
            app = create_app(settings, change(backends))
            server = HttpServer(app, settings, app.state.context.draining)
            running = asyncio.create_task(server.serve([listening]))
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
                yield Site(http, backends, settings, server, port)
            server.leave()
            await running


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """Start an API with these settings; `change` may put other backends under it."""

    def start(
        change: Callable[[Backends], Backends] = lambda backends: backends, **options: Any
    ) -> AbstractAsyncContextManager[Site]:
        return _serving(tmp_path / "data", change, options)

    return start


@pytest.fixture
async def site(serving: Serving) -> AsyncIterator[Site]:
    """An API with small bounds."""
    async with serving(max_text_bytes=1024 * 1024, max_request_bytes=8 * 1024, idle_seconds=5.0) as site:
        yield site


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[ApiServer]:
    """What stands for the API server of a cluster."""
    (tmp_path / "account").mkdir()
    with api_server(tmp_path / "account") as server:
        yield server


@pytest.fixture
def collected() -> Iterator[tuple[str, Collected]]:
    """Where Loki and Tempo would be, and what has come there."""
    with receiving() as found:
        yield found
