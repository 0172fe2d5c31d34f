"""The OpenTelemetry Collector in tests: the real one, with the configuration that ships."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import ROOT
from tests.ports import free_port
from tests.servers import OTELCOL, absent

FOLDER = ROOT / "platform" / "observability"
GATEWAY, KUBERNETES, CLUSTER = (FOLDER / "collector" / f"{it}.yaml" for it in ("gateway", "kubernetes", "events"))
TRACES, POD_LOGS = FOLDER / "tempo" / "traces.yaml", FOLDER / "pod-logs" / "config.yaml"
NAMESPACE = {"NAMESPACE": "essaim"}
KINDS = ("receivers", "processors", "exporters", "connectors", "extensions")


def otelcol() -> str:
    if OTELCOL == "none":
        pytest.skip("ESSAIM_TEST_OTELCOL says that there is none")
    return OTELCOL or absent("no otelcol on the path, nor named by ESSAIM_TEST_OTELCOL")


def lacking(*configs: Path) -> set[str]:
    """Components that they use and this build of the collector is without."""
    said = subprocess.run([otelcol(), "components"], capture_output=True, text=True, check=True).stdout
    wanted = {
        (kind, name.partition("/")[0])
        for config in configs
        for kind in KINDS
        for name in yaml.safe_load(config.read_text()).get(kind, {})
    }
    components = yaml.safe_load(said)
    return {name for kind, name in wanted if name not in {it["name"] for it in components[kind]}}


def validated(*configs: Path) -> str:
    """What it has against them."""
    command = [otelcol(), "validate", *(f"--config={config}" for config in configs)]
    done = subprocess.run(command, capture_output=True, text=True, env=NAMESPACE)
    return "" if done.returncode == 0 else done.stderr


@dataclass
class Collector:
    """`url` is where it takes OTLP over HTTP."""

    url: str
    health: str
    process: subprocess.Popen[bytes]
    log: Path

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(self.health, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def collecting(
    folder: Path, configs: Sequence[Path], override: Mapping[str, Any], **environment: str
) -> Iterator[Collector]:
    """Run it with these and, after them, the override. At the end it sends what it still has, and must leave well."""
    otlp, grpc, health = (f"127.0.0.1:{free_port()}" for _ in range(3))
    metrics = {
        "pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": free_port()}}}
    }  # by default all on 8888
    addresses: dict[str, Any] = {
        "extensions": {"health_check": {"endpoint": health}},
        "service": {"telemetry": {"metrics": {"readers": [metrics]}}},
    }
    if GATEWAY in configs:
        protocols = {"http": {"endpoint": otlp}, "grpc": {"endpoint": grpc}}
        addresses["receivers"] = {"otlp": {"protocols": protocols}}
    files = [*configs]
    for name, content in {"addresses": addresses, "override": override}.items():
        files.append(folder / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump(dict(content)))
    log = folder / "otelcol.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [otelcol(), *(f"--config={file}" for file in files)],
            env={"PATH": os.environ["PATH"], **NAMESPACE, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        yield Collector(f"http://{otlp}", f"http://{health}/", process, log)
        process.terminate()
        assert process.wait() == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
