"""The real collector with the configuration that ships: what it makes of a job's spans and lines, and of console logs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from essaim.telemetry.log_events import EVENTS
from tests.conftest import BuildHouse, eventually
from tests.integration.collector import (
    CLUSTER,
    FOLDER,
    GATEWAY,
    KUBERNETES,
    POD_LOGS,
    TRACES,
    collecting,
    lacking,
    validated,
)
from tests.integration.collector_site import CLIENT_SPAN, TOKEN, TRACE, running
from tests.integration.otlp_receiver import Collected

SECRET, CONTENT = "a-secret-of-callbacks", "xylophone quartz"
ATTEMPT = ("task.claimed", "task.finished")
IN_AN_ATTEMPT = {"task.claimed", "task.finished", "task.failed", "task.rejected", "task.stopped"}


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


async def test_what_leaves_the_collector_is_one_trace_and_every_line_of_it(
    build_house: BuildHouse, collected: tuple[str, Collected], tmp_path: Path
) -> None:
    house = build_house(None, release="v1", callback_secret=SECRET)
    async with running(house, collected, tmp_path) as (site, _):
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


async def test_console_logs_of_a_node_say_whose_they_are(collected: tuple[str, Collected], tmp_path: Path) -> None:
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
