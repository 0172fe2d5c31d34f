"""The real collector with the configuration that ships, between real processes and what stands for Loki and Tempo.

In the place of Kubernetes' API server there is none: who sends is then not known, and all else must go on.
"""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from jobs.log_events import EVENTS
from tests.conftest import ROOT, House
from tests.dashboard_queries import boards, queries
from tests.integration.collector import (
    CLUSTER,
    FOLDER,
    GATEWAY,
    KUBERNETES,
    POD_LOGS,
    TRACES,
    Collector,
    collecting,
    free_port,
    lacking,
    validated,
)
from tests.integration.loki_server import LOKI_URL
from tests.integration.otlp_receiver import Collected, receiving
from tests.logql import missing, parse, stored

Eventually = Callable[..., Awaitable[Any]]

CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, CLIENT_SPAN = CLIENT.split("-")[1:3]
TOKEN, SECRET, CONTENT = "a-token-that-nobody-may-log", "a-secret-of-callbacks", "xylophone quartz"
BRISK = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRICS_EXPORTER": "none"}
IN_AN_ATTEMPT = {"task.claimed", "task.finished", "task.failed", "task.stopped"}
NOBODY = {"apiVersion": "v1", "kind": "Config", "current-context": "none"} | {
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": ""}}],
}

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


@pytest.mark.parametrize(
    "configs",
    [
        [GATEWAY],
        [GATEWAY, KUBERNETES],
        [GATEWAY, KUBERNETES, CLUSTER],
        [GATEWAY, KUBERNETES, CLUSTER, TRACES],
        [POD_LOGS],
    ],
    ids=lambda configs: "+".join(path.stem for path in configs),
)
def test_the_collector_finds_no_fault(configs: list[Path], tmp_path: Path) -> None:
    if without := lacking(*configs):
        pytest.skip(f"this build of the collector is without {', '.join(sorted(without))}")
    (tmp_path / "override.yaml").write_text(yaml.safe_dump(folders_of(tmp_path) if POD_LOGS in configs else {}))
    assert not validated(*configs, tmp_path / "override.yaml")


def folders_of(folder: Path) -> dict[str, Any]:
    return {"extensions": {"file_storage": {"directory": str(folder)}}}


def test_the_manifests_name_these_files() -> None:
    for file, configs in {
        "collector/collector.yaml": [GATEWAY, KUBERNETES, CLUSTER],
        "pod-logs/pod-logs.yaml": [POD_LOGS],
        "tempo/kustomization.yaml": [TRACES],
    }.items():
        named = re.findall(r"--config=/etc/otelcol(?:-tempo)?/([\w-]+\.yaml)", (FOLDER / file).read_text())
        assert named == [path.name for path in configs]


class Site:
    """A house that sends to the real collector; `collected` is what came out of it."""

    def __init__(self, house: House, collected: Collected, url: str, eventually: Eventually) -> None:
        self.house = house
        self.collected = collected
        self._eventually = eventually
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

        await self._eventually(look)

    def leave(self) -> None:
        """All processes, in good order: they send what they have to say."""
        for process in self.house.processes:
            process.send_signal(signal.SIGTERM)
            process.wait()


@pytest.fixture
def collected() -> Any:
    with receiving() as found:
        yield found


@asynccontextmanager
async def running(
    house: House, collected: tuple[str, Collected], folder: Path, eventually: Eventually
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
        site = Site(house, collected[1], f"http://127.0.0.1:{port}", eventually)

        async def ready() -> bool:
            try:
                return (await site.http.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(ready)
        yield site, collector
        await site.http.aclose()
        site.leave()


async def test_what_leaves_the_collector_is_one_trace_and_every_line_of_it(
    build_house: Callable[..., House], collected: tuple[str, Collected], tmp_path: Path, eventually: Eventually
) -> None:
    house = build_house(None, release="v1", callback_secret=SECRET)
    async with running(house, collected, tmp_path, eventually) as (site, _):
        stored_text = await site.http.put("/v1/texts/a.txt", content=f"{CONTENT} " * 10_000)
        assert stored_text.is_success
        job = await site.submit(texts=["*.txt"], words=["quartz"], piece_bytes=65_536)
        await site.state(job, "succeeded")
    found = collected[1]
    one_trace([span for span in found.spans if span["trace"] == TRACE], job)
    assert {span["trace"] for span in found.spans if span["attributes"].get("job")} == {TRACE}
    told(found, job)
    everything = "\n".join(found.raw) + house.logs()
    assert "job.succeeded" in everything
    for secret in (TOKEN, SECRET, *CONTENT.split()):
        assert secret not in everything


def one_trace(spans: list[dict[str, Any]], job: str) -> None:
    """From the client's span on, each under one that is there too; and every attempt points to the submission."""
    known = {span["id"] for span in spans}
    assert [span["name"] for span in spans if span["parent"] not in known] == ["POST /v1/jobs"]
    (request,) = (span for span in spans if span["name"] == "POST /v1/jobs")
    assert request["parent"] == CLIENT_SPAN
    (submit,) = (span for span in spans if span["name"] == "submit")
    attempts = [span for span in spans if span["name"] == "attempt"]
    assert len(attempts) > 1
    assert all(attempt["links"] == [(TRACE, submit["id"])] for attempt in attempts)
    handles = {span["id"] for span in spans if span["name"] == "handle"}
    assert all(attempt["parent"] in handles for attempt in attempts)
    assert {span["attributes"]["job"] for span in spans if span is not request} == {job}
    assert {span["resource"]["service.version"] for span in spans} == {"v1"}


def told(found: Collected, job: str) -> None:
    """Every line has its release and process, and those about the job its trace, task and attempt."""
    known = {name for events in EVENTS.values() for name in events}
    assert {one["attributes"]["event"] for one in found.logs} <= known
    for one in found.logs:
        assert one["resource"]["service.version"] == "v1"
        assert one["attributes"]["event"] == "span.ended" or one["attributes"]["release"] == "v1"
        assert one["resource"]["service.instance.id"]
    about = [one for one in found.logs if one["attributes"].get("job") == job]
    assert {one["attributes"]["event"] for one in about} >= {"job.submitted", "job.succeeded", "span.ended", *ATTEMPT}
    for one in about:
        assert one["trace"] == TRACE
        assert one["span"]
        if one["attributes"]["event"] in IN_AN_ATTEMPT:
            assert {"task", "attempt", "worker"} <= one["attributes"].keys()
    lines = {(one["trace"], one["span"]) for one in found.logs if one["attributes"]["event"] == "span.ended"}
    assert lines == {(span["trace"], span["id"]) for span in found.spans}


ATTEMPT = ("task.claimed", "task.finished")


@pytest.fixture
async def run(
    build_house: Callable[..., House], collected: tuple[str, Collected], tmp_path: Path, eventually: Eventually
) -> list[str]:
    """The jobs of a run in which everything happens that the dashboards show; what it logged is in `collected`."""
    house = build_house(ROOT / "tests" / "houses" / "journal", release="v1", max_attempts=2)
    async with running(house, collected, tmp_path, eventually) as (site, collector):
        jobs = await everything_happens(site, eventually)
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


async def test_console_logs_of_a_node_say_whose_they_are(
    collected: tuple[str, Collected], tmp_path: Path, eventually: Eventually
) -> None:
    uid = "6dd4d9a6-5ed9-4b5e-9e8f-6c2f3f0a3d11"
    log = tmp_path / "pods" / f"essaim_rabbitmq-0_{uid}" / "rabbitmq" / "0.log"
    other = tmp_path / "pods" / f"elsewhere_rabbitmq-0_{uid}" / "rabbitmq" / "0.log"
    for file in (log, other):
        file.parent.mkdir(parents=True)
        file.write_text(f"2026-01-31T12:00:00.123456789Z stdout F from {file.parts[-3]}\n")
    override = {
        "receivers": {"file_log": {"include": [f"{tmp_path}/pods/essaim_*/*/*.log"], "poll_interval": "100ms"}},
        **folders_of(tmp_path),
    }
    shipped = yaml.safe_load(POD_LOGS.read_text())["receivers"]["file_log"]["include"]
    assert shipped == ["/var/log/pods/${env:NAMESPACE}_*/*/*.log"]
    with collecting(tmp_path, [POD_LOGS], override, COLLECTOR_ENDPOINT=collected[0]) as collector:
        await eventually(collector.ready)
        await eventually(lambda: collected[1].logs)
    (line,) = collected[1].logs
    assert line["body"] == f"from essaim_rabbitmq-0_{uid}"
    assert line["attributes"]["log.iostream"] == "stdout"
    wanted = {"k8s.namespace.name": "essaim", "k8s.pod.name": "rabbitmq-0", "k8s.container.name": "rabbitmq"}
    assert line["resource"].items() >= {**wanted, "k8s.pod.uid": uid, "service.name": "pod-logs"}.items()
