"""One trace per job from the client's request to its end, every line findable, and no job the slower for it."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from essaim.telemetry.log_events import EVENTS
from tests.conftest import ROOT, BuildHouse, House, eventually
from tests.integration.otlp_receiver import Collected, receiving
from tests.ports import free_port

CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, CLIENT_SPAN = CLIENT.split("-")[1:3]
TOKEN, CONTENT = "a-token-that-nobody-may-log", "xylophone quartz"
BRISK = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
OF_A_JOB = frozenset({"POST /v1/jobs", "submit", "handle", "attempt", "merge"})
IN_AN_ATTEMPT = {"task.claimed", "task.finished", "task.failed", "task.rejected", "task.stopped"}


# File names and error messages may have half surrogate pairs, which UTF-8 has not.
HALF = """
from contextlib import suppress
from essaim import telemetry
telemetry.export("rollout", "cli", "tester")
telemetry.log("rollout.moved", reason="half \\udce9")
telemetry.log("rollout.moved", reason="whole", error=ValueError("half \\udce9"))
for name in ("one", "two"):
    with suppress(ValueError), telemetry.span(name, reason="half \\udce9"):
        if name == "two":
            raise ValueError("half \\udce9")
telemetry.close(60)
"""


@dataclass
class Site:
    """A house whose processes send what they do to `collected`."""

    house: House
    collected: Collected
    url: str
    worker: subprocess.Popen[bytes]

    async def submit(self, traceparent: str = CLIENT, **request: object) -> str:
        headers = {"traceparent": traceparent, "authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, headers=headers, timeout=60) as http:
            answer = await http.post("/v1/jobs", json=request, headers={"prefer": "wait=30"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])


async def started(house: House, endpoint: str) -> tuple[str, subprocess.Popen[bytes]]:
    house.environment.update({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **BRISK})
    port = free_port()
    house.start("api", ESSAIM_API_PORT=str(port), ESSAIM_API_TOKENS=f"ada:{TOKEN}")
    worker = house.start()
    url = f"http://127.0.0.1:{port}"

    async def ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    await eventually(ready)
    return url, worker


@pytest.fixture
def collector() -> Iterator[tuple[str, Collected]]:
    with receiving() as found:
        yield found


@pytest.fixture
async def site(build_house: BuildHouse, collector: tuple[str, Collected]) -> Site:
    house = build_house(None, release="v1")
    url, worker = await started(house, collector[0])
    return Site(house, collector[1], url, worker)


async def test_a_job_is_one_trace_from_the_clients_request_to_its_end(site: Site) -> None:
    job = await site.submit(text=CONTENT, words=["quartz"])
    found = site.collected
    await eventually(lambda: {"POST /v1/jobs", "submit", "handle"} <= {span["name"] for span in found.spans})
    request, submit = found.span("POST /v1/jobs"), found.span("submit", job=job)
    handle, attempt = found.span("handle", job=job), found.span("attempt", job=job)
    assert {span["trace"] for span in (request, submit, handle, attempt)} == {TRACE}
    assert request["parent"] == CLIENT_SPAN
    assert submit["parent"] == request["id"]
    assert handle["parent"] == submit["id"]
    assert attempt["parent"] == handle["id"]
    assert attempt["links"] == [(TRACE, submit["id"])]
    assert (attempt["attributes"]["task"], attempt["attributes"]["attempt"]) == (0, 1)
    assert handle["resource"]["service.name"] == "essaim-worker"
    assert request["resource"]["service.name"] == "essaim-api"
    assert {span["resource"]["service.version"] for span in found.spans} == {"v1"}


async def test_the_tasks_of_a_job_are_in_its_trace_and_point_to_its_submission(site: Site) -> None:
    job = await site.submit(text="a swarm of bees " * 10_000, words=["swarm"], piece_bytes=65_536)
    found = site.collected
    await eventually(lambda: Counter(one["name"] for one in found.spans) >= Counter(handle=4, submit=1))
    submit = found.span("submit")
    attempts = [span for span in found.spans if span["name"] == "attempt"]
    handles = {span["id"]: span for span in found.spans if span["name"] == "handle"}
    assert len(attempts) == 4  # the first has split it
    assert all(attempt["links"] == [(TRACE, submit["id"])] for attempt in attempts)
    assert {attempt["attributes"]["task"] for attempt in attempts} == {0, 1, 2}
    (first,) = (handle for handle in handles.values() if handle["parent"] == submit["id"])
    others = [handle for handle in handles.values() if handle is not first]
    assert {handle["parent"] for handle in others} == {first["id"]}
    assert {span["trace"] for span in found.spans if span["attributes"].get("job") == job} == {TRACE}


async def test_every_line_says_which_job_task_attempt_release_and_trace_it_is_about(site: Site) -> None:
    job = await site.submit(text=CONTENT, words=["quartz"])
    found = site.collected
    expected = ("job.submitted", "task.claimed", "job.succeeded", "span.ended")
    await eventually(lambda: all(found.events(event) for event in expected))
    about = [one for one in found.logs if one["attributes"].get("job") == job]
    assert {one["attributes"]["event"] for one in about} >= set(expected)
    for one in about:
        assert one["trace"] == TRACE
        assert one["span"]
        assert one["attributes"]["event"] == "span.ended" or one["attributes"]["release"] == "v1"
        if one["attributes"]["event"] in IN_AN_ATTEMPT:
            assert (one["attributes"]["task"], one["attributes"]["attempt"]) == (0, 1)
            assert one["attributes"]["worker"]
    known = {name for events in EVENTS.values() for name in events}
    assert {one["attributes"]["event"] for one in found.logs if "event" in one["attributes"]} <= known


async def test_each_span_that_ends_is_a_line_too(site: Site) -> None:
    await site.submit(text=CONTENT, words=["quartz"])
    found = site.collected
    await eventually(lambda: "handle" in {span["name"] for span in found.spans})
    await eventually(lambda: len(found.events("span.ended")) >= len(found.spans))
    for span in found.spans:
        (line,) = (one for one in found.events("span.ended") if one["span"] == span["id"])
        assert line["trace"] == span["trace"]
        assert line["attributes"]["span"] == span["name"]
        assert line["attributes"]["parent"] == span["parent"]
        assert line["attributes"]["links"] == " ".join("/".join(link) for link in span["links"])


async def test_by_ratio_a_trace_is_there_as_a_whole_or_not_at_all_and_lines_always_are(
    build_house: BuildHouse, collector: tuple[str, Collected]
) -> None:
    house = build_house(None)
    house.environment.update({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"})
    url, worker = await started(house, collector[0])
    site, found = Site(house, collector[1], url, worker), collector[1]
    jobs = [await site.submit(traceparent="", text=CONTENT, words=["quartz"]) for _ in range(24)]
    await eventually(lambda: len(found.events("job.succeeded")) == 24)
    for process in house.processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    submitted = {line["attributes"]["job"]: line["trace"] for line in found.events("job.submitted")}
    assert submitted.keys() == set(jobs)
    spans = {trace: {one["name"] for one in found.spans if one["trace"] == trace} for trace in submitted.values()}
    assert {frozenset(names) for names in spans.values()} == {OF_A_JOB, frozenset()}
    assert all(line["trace"] == submitted[line["attributes"]["job"]] for line in found.events("job.succeeded"))


@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "not sampled"])
async def test_whether_the_client_samples_its_trace_decides(
    build_house: BuildHouse, collector: tuple[str, Collected], sampled: bool
) -> None:
    house, ratio = build_house(None), "0" if sampled else "1"
    house.environment.update({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio})
    url, worker = await started(house, collector[0])
    site, found = Site(house, collector[1], url, worker), collector[1]
    job = await site.submit(traceparent=CLIENT[:-1] + str(int(sampled)), text=CONTENT, words=["quartz"])
    await eventually(lambda: found.events("job.succeeded"))
    for process in house.processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    of_job = {one["name"] for one in found.spans if one["trace"] == TRACE}
    assert of_job == (OF_A_JOB if sampled else frozenset())
    assert [line["trace"] for line in found.events("job.succeeded") if line["attributes"]["job"] == job] == [TRACE]


async def test_no_token_no_secret_and_no_text_leaves_the_house(site: Site) -> None:
    await site.submit(text=CONTENT, words=["quartz"])
    await eventually(lambda: site.collected.events("job.succeeded") and site.collected.metrics)
    everything = "\n".join(site.collected.raw) + site.house.logs()
    assert "job.succeeded" in everything
    for secret in (TOKEN, *CONTENT.split()):
        assert secret not in everything


def test_what_utf_8_has_not_is_escaped(collected: tuple[str, Collected]) -> None:
    endpoint, found = collected
    code = [sys.executable, "-c", HALF]
    subprocess.run(code, check=True, cwd=ROOT, env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **BRISK})
    assert [line["attributes"]["reason"] for line in found.events("rollout.moved")] == [r"half \udce9", "whole"]
    assert found.events("rollout.moved")[1]["attributes"]["exception.message"] == r"half \udce9"
    assert [one["name"] for one in found.spans] == ["one", "two"]
    assert [line["attributes"]["status"] for line in found.events("span.ended")] == ["unset", "error"]


async def test_a_worker_that_leaves_has_sent_all_it_had_to_say(site: Site) -> None:
    site.house.environment.update({"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_BLRP_SCHEDULE_DELAY": "60000"})
    site.worker.kill()
    site.worker.wait()
    slow = site.house.start()
    job = await site.submit(text=CONTENT, words=["quartz"])
    slow.send_signal(signal.SIGTERM)
    assert slow.wait(60) == 0
    found = site.collected
    assert found.span("attempt", job=job)
    assert found.events("worker.left")


async def test_a_dead_collector_stops_no_job_and_no_worker(build_house: BuildHouse) -> None:
    house = build_house(None)
    url, worker = await started(house, f"http://127.0.0.1:{free_port()}")
    site = Site(house, Collected(), url, worker)
    for _ in range(3):
        await site.submit(text=CONTENT, words=["quartz"])
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert "telemetry.lost count=" in house.logs()


@pytest.mark.parametrize("role", ["api", "worker"])
def test_an_endpoint_that_is_none_is_refused_in_one_line(build_house: BuildHouse, role: str) -> None:
    house = build_house(None)
    process = house.start(role, OTEL_EXPORTER_OTLP_ENDPOINT="collector:4318")
    assert process.wait(60) == 2
    assert house.logs().splitlines()[1:] == [
        f"essaim {role}: OTEL_EXPORTER_OTLP_ENDPOINT must be a URL, such as http://127.0.0.1:4318"
    ]


@pytest.mark.parametrize("environment", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}])
def test_without_an_endpoint_no_exporter_is_loaded_nor_what_would_feed_one(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """FastAPI itself loads OpenTelemetry's API, which does nothing by itself."""
    code = (
        "import essaim_api.app, essaim_api.__main__, essaim_worker.__main__, essaim.telemetry, sys\n"
        "from essaim.jobs.settings import load_settings\n"
        "essaim.telemetry.configure(load_settings(), 'api', 'me')\n"
        "with essaim.telemetry.span('x'): essaim.telemetry.log('job.submitted')\n"
        "print([name for name in sys.modules if 'opentelemetry.sdk' in name or 'exporter' in name])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT), **environment}, cwd=tmp_path, capture_output=True
    )
    assert said.stdout == b"[]\n", said
