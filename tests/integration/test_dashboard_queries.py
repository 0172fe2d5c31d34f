"""Every query of every dashboard finds something in what a run leaves behind the real collector."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT, House
from tests.dashboard_queries import boards, queries
from tests.integration.collector_site import BRISK, Site, running
from tests.integration.loki_server import LOKI_URL
from tests.integration.otlp_receiver import Collected
from tests.logql import missing, parse, stored

Eventually = Callable[..., Awaitable[Any]]

# What a rollout says of itself; a whole one is in test_rollout.py.
ROLLED = """
from dataclasses import replace
from datetime import UTC, datetime
from jobs import telemetry
from rollout.state import Phase, Plan, Rollout
from rollout.telling import Voice

now = datetime.now(UTC)
telemetry.export("rollout", "cli", "tester")
voice = Voice(lambda line: None)
rollout = Rollout("a-rollout", Plan("v1", "v2", "v2"), now, now, now, "tester", now, reason="its jobs end well")
voice.began(rollout)
voice.moved(replace(rollout, phase=Phase.STEPPING, index=1))
voice.moved(replace(rollout, phase=Phase.ROLLED_BACK))
telemetry.close(60)
"""


@pytest.fixture
async def run(
    build_house: Callable[..., House], collected: tuple[str, Collected], tmp_path: Path, eventually: Eventually
) -> list[str]:
    """The jobs of a run in which everything happens that the dashboards show; what it logged is in `collected`."""
    house = build_house(ROOT / "tests" / "houses" / "journal", release="v1", max_attempts=2)
    async with running(house, collected, tmp_path, eventually) as (site, collector):
        jobs = await everything_happens(site, eventually)
        # As the collector has read them in a cluster where workers went 0 -> 1 -> 5 -> 7.
        events = json.loads((ROOT / "tests" / "fixtures" / "kubernetes_events.json").read_text())
        for resource in events["resourceLogs"]:
            resource["scopeLogs"][0]["logRecords"][0]["timeUnixNano"] = str(time.time_ns())
        answer = httpx.post(f"{collector.url}/v1/logs", json=events, trust_env=False)
        assert answer.status_code == 200, answer.text
        rolled = [sys.executable, "-c", ROLLED]
        subprocess.run(rolled, check=True, cwd=ROOT, env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **BRISK})
    return jobs


async def test_every_query_of_every_dashboard_finds_what_a_run_has_left(
    run: list[str], collected: tuple[str, Collected]
) -> None:
    """A query about a job finds it in one of the jobs."""
    lines = [stored(one) for one in collected[1].logs]
    asked = [queries(job=job) for job in run]
    for same in zip(*asked, strict=True):
        assert any(not missing(tree, lines) for tree in parse(same)), same[0]


@pytest.mark.skipif(not LOKI_URL, reason=f"no Loki: {len(queries())} queries of {', '.join(boards())} were not run")
async def test_every_query_of_every_dashboard_returns_data(run: list[str], eventually: Eventually) -> None:
    """Loki has got the same records as `collected`, see `running`."""
    async with httpx.AsyncClient(base_url=LOKI_URL, trust_env=False, timeout=60) as loki:

        async def answered(query: str) -> bool:
            now = time.time_ns()
            asked = {"query": query, "start": now - 3600 * 10**9, "end": now + 10**9, "step": "15s"}
            answer = await loki.get("/loki/api/v1/query_range", params=asked)
            assert answer.status_code == 200, f"{query}: {answer.text}"
            return bool(answer.json()["data"]["result"])

        for same in zip(*[queries(job=job) for job in run], strict=True):

            async def any_answered(same: tuple[str, ...] = same) -> bool:
                return any([await answered(query) for query in same])

            await eventually(any_answered)


async def everything_happens(site: Site, eventually: Eventually) -> list[str]:
    """One job goes well, one at the second try, one cannot, one never does, one is cancelled, and its worker leaves."""
    journal = str(site.house.folder / "journal")
    jobs = [
        await site.submit(journal=journal, tasks=2),
        await site.submit(journal=journal, raises=1),
        await site.submit(journal=journal, rejects=True),
        await site.submit(journal=journal, raises=99),
    ]
    long = await site.submit(wait=0, journal=journal, steps=100_000)
    await site.state(long, "running")
    await eventually(lambda: [one for one in site.collected.events("queue.depth") if one["attributes"]["in_flight"]])
    worker = site.house.processes[1]
    worker.send_signal(signal.SIGTERM)
    worker.wait()
    assert (await site.http.delete(f"/v1/jobs/{long}")).status_code < 300
    return [*jobs, long]
