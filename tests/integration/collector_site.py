"""A house that sends what it does to the real collector, and what has come out of that.

In the place of Kubernetes' API server there is none: who sends is then not known, and all else must go on.
"""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import House, eventually
from tests.integration.collector import GATEWAY, KUBERNETES, TRACES, Collector, collecting
from tests.integration.loki_server import LOKI_URL
from tests.integration.otlp_receiver import Collected
from tests.ports import free_port

CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, CLIENT_SPAN = CLIENT.split("-")[1:3]
TOKEN = "a-token-that-nobody-may-log"
BRISK = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRICS_EXPORTER": "none"}
NOBODY = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "none",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": ""}}],
}


class Site:
    """A house that sends to the real collector; `collected` is what came out of it."""

    def __init__(self, house: House, collected: Collected, url: str) -> None:
        self.house = house
        self.collected = collected
        headers = {"authorization": f"Bearer {TOKEN}"}
        self.http = httpx.AsyncClient(base_url=url, trust_env=False, headers=headers, timeout=90)

    async def submit(self, wait: int = 60, **request: object) -> str:
        headers = {"traceparent": CLIENT, "prefer": f"wait={wait}"}
        answer = await self.http.post("/v1/jobs", json=request, headers=headers)
        assert answer.status_code in (200, 202), answer.text
        return str(answer.json()["id"])

    async def state(self, job: str, *states: str) -> None:
        async def look() -> bool:
            return (await self.http.get(f"/v1/jobs/{job}")).json()["state"] in states

        await eventually(look)

    def leave(self) -> None:
        """All processes, in good order: they send what they have to say."""
        for process in self.house.processes:
            process.send_signal(signal.SIGTERM)
            process.wait()


@asynccontextmanager
async def running(
    house: House, collected: tuple[str, Collected], folder: Path
) -> AsyncIterator[tuple[Site, Collector]]:
    """When this ends, all that was sent has come through."""
    (folder / "kubeconfig").write_text(json.dumps(NOBODY))
    override: dict[str, Any] = {"processors": {"k8s_attributes": {"auth_type": "kubeConfig"}}}
    if LOKI_URL:
        override["exporters"] = {"otlp_http/real": {"endpoint": f"{LOKI_URL}/otlp"}}
        override["service"] = {"pipelines": {"logs": {"exporters": ["otlp_http/loki", "otlp_http/real"]}}}
    where = {"LOKI_ENDPOINT": f"{collected[0]}/otlp", "TEMPO_ENDPOINT": collected[0]}
    configs = [GATEWAY, KUBERNETES, TRACES]
    with collecting(folder, configs, override, KUBECONFIG=str(folder / "kubeconfig"), **where) as collector:
        await eventually(collector.ready)
        house.environment.update({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **BRISK})
        port = free_port()
        house.start("api", ESSAIM_API_PORT=str(port), ESSAIM_API_TOKENS=f"ada:{TOKEN}")
        house.start()
        site = Site(house, collected[1], f"http://127.0.0.1:{port}")

        async def ready() -> bool:
            try:
                return (await site.http.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(ready)
        yield site, collector
        await site.http.aclose()
        site.leave()
