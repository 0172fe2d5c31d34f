"""Two releases on this machine, each with its API and workers, one store for both; and clients that go where the split says."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx

from tests.conftest import House
from tests.knative_service import StandInService
from tests.ports import free_port

CLIENTS = 4


@dataclass
class TwoReleases:
    house: House
    urls: dict[str, str]
    service: StandInService
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def load(self, seconds: float = 0.02) -> AsyncIterator[None]:
        """Clients that each submit a job, wait for its end, and come again, until the end of the block."""
        numbers = itertools.count(1)
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            clients = [asyncio.create_task(self._client(http, numbers, seconds)) for _ in range(CLIENTS)]
            try:
                yield
            finally:
                for client in clients:
                    client.cancel()
                await asyncio.gather(*clients, return_exceptions=True)

    async def _client(self, http: httpx.AsyncClient, numbers: "itertools.count[int]", seconds: float) -> None:
        dice = random.Random(next(numbers))
        while True:
            shares = {release: self.service.percent(release) for release in self.urls}
            (release,) = dice.choices([*shares], [*shares.values()])
            request = {"number": next(numbers), "seconds": seconds}
            answer = await http.post(f"{self.urls[release]}/v1/jobs", json=request, headers={"Prefer": "wait=5"})
            (self.accepted if answer.is_success else self.refused).append(answer.json().get("id", answer.text))

    async def states(self) -> dict[str, tuple[str, str]]:
        """State and release of all that was accepted, once all has ended."""
        found: dict[str, tuple[str, str]] = {}
        async with httpx.AsyncClient(base_url=self.urls["v1"], trust_env=False, timeout=60) as http:
            for job in self.accepted:
                while True:
                    content = (await http.get(f"/v1/jobs/{job}")).json()
                    found[job] = content["state"], content["release"]
                    if content["ended"]:
                        break
                    await asyncio.sleep(0.05)
        return found


async def start(house: House, workers: dict[str, int], **bad: str) -> TwoReleases:
    """`bad` is the environment of the new release, `v2`; `workers` may say that a release has none."""
    urls = {}
    for release in ("v1", "v2"):
        environment = {"ESSAIM_RELEASE": release, **(bad if release == "v2" else {})}
        port = free_port()
        house.start("api", ESSAIM_API_PORT=str(port), **environment)
        for _ in range(workers.get(release, 1)):
            house.start("worker", ESSAIM_CONCURRENCY="4", **environment)
        urls[release] = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for url in urls.values():
            await _answering(http, url)
    return TwoReleases(house, urls, StandInService(urls))


async def _answering(http: httpx.AsyncClient, url: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(httpx.TransportError):
                if (await http.get(f"{url}/readyz")).is_success:
                    return
            await asyncio.sleep(0.05)
