"""A run in which everything happens that the dashboards show, behind the real collector."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.conftest import ROOT, BuildHouse, eventually
from tests.integration.collector_site import BRISK, Site, running
from tests.integration.otlp_receiver import Collected

ENDS = ("job.succeeded", "job.succeeded", "job.failed", "job.failed", "job.cancelled")  # of its jobs, in this order

# What a rollout says of itself, and the next of the same release; a whole one is in test_rollout.py.
ROLLED = """
from dataclasses import replace
from datetime import UTC, datetime
from essaim import telemetry
from essaim.rollout.model import Phase, Plan, Rollout
from essaim.rollout.reporting import Reporter

now = datetime.now(UTC)
telemetry.export("rollout", "cli", "tester")
reporter = Reporter(lambda line: None)
rollout = Rollout("a-rollout", Plan("v1", "v2", "v2"), now, now, now, "tester", now, reason="its jobs end well")
reporter.began(rollout)
reporter.moved(replace(rollout, phase=Phase.STEPPING, index=1))
reporter.moved(replace(rollout, phase=Phase.ROLLED_BACK))
reporter.moved(replace(rollout, phase=Phase.STEPPING, index=0))
telemetry.close(60)
"""


@dataclass(frozen=True)
class Run:
    """`logs` is what came out of the collector. Nobody else has its release."""

    release: str
    jobs: list[str]
    logs: list[dict[str, Any]]

    @property
    def begin(self) -> int:
        """Its first nanosecond."""
        return min(int(one["time"]) for one in self.logs)

    @property
    def end(self) -> int:
        return max(int(one["time"]) for one in self.logs)

    def said(self, event: str, field: str, **about: object) -> list[float]:
        found = [one["attributes"] for one in self.logs if one["attributes"].get("event") == event]
        return [float(it[field]) for it in found if about.items() <= it.items()]


async def eventful_run(build_house: BuildHouse, collected: tuple[str, Collected], folder: Path) -> Run:
    release = f"v{uuid4().hex[:8]}"
    house = build_house("journal", release=release, max_attempts=2)
    async with running(house, collected, folder) as (site, collector):
        jobs = await _everything_happens(site)
        # As the collector has read them in a cluster where workers went 0 -> 1 -> 5 -> 7.
        events = json.loads((ROOT / "tests" / "fixtures" / "kubernetes_events.json").read_text())
        for resource in events["resourceLogs"]:
            resource["scopeLogs"][0]["logRecords"][0]["timeUnixNano"] = str(time.time_ns())
        answer = httpx.post(f"{collector.url}/v1/logs", json=events, trust_env=False)
        assert answer.status_code == 200, answer.text
        rolled = [sys.executable, "-c", ROLLED]
        subprocess.run(rolled, check=True, cwd=ROOT, env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **BRISK})
    return Run(release, jobs, collected[1].logs)


async def _everything_happens(site: Site) -> list[str]:
    """One job goes well, one at the second try, one cannot, one never does, one is cancelled, and its worker leaves."""

    def journal(name: str) -> str:
        return str(site.house.folder / name)

    jobs = [
        await site.submit(journal=journal("good"), tasks=2),
        await site.submit(journal=journal("second try"), raises=1),
        await site.submit(journal=journal("rejected"), rejects=True),
        await site.submit(journal=journal("never"), raises=99),
    ]
    long = await site.submit(wait=0, journal=journal("long"), steps=100_000)
    await site.state(long, "running")
    await eventually(lambda: _depth(site, "in_flight"))
    worker = site.house.processes[1]
    worker.send_signal(signal.SIGTERM)
    worker.wait()
    await eventually(lambda: _depth(site, "ready"))
    assert (await site.http.delete(f"/v1/jobs/{long}")).status_code < 300
    return [*jobs, long]


def _depth(site: Site, field: str) -> bool:
    """Whether the queue has been seen with any of them."""
    return any(one["attributes"][field] for one in site.collected.events("queue.depth"))
