"""compose.yaml and .env.example, as claims: they agree with each other, with the settings and with the README."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from essaim.jobs.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (ROOT / ".env.example").read_text()
VALUES = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
SERVERS = {"rabbitmq", "mongodb", "s3"}
SECRET = re.compile(r"PASS|SECRET|TOKEN|KEY$")


def known() -> set[str]:
    return {f"ESSAIM_{name.upper()}" for name, field in Settings.model_fields.items() if field.validation_alias is None}


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"\bESSAIM_[A-Z_]+", TEXT + EXAMPLE))
    assert {"ESSAIM_QUEUE_URL", "ESSAIM_STORE_URL", "ESSAIM_TEXTS_URL", "ESSAIM_API_TOKENS"} <= named <= known()


def test_what_compose_asks_for_is_what_the_example_has() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", TEXT))
    assert asked
    assert asked == set(VALUES)


def test_every_value_of_the_example_is_explained() -> None:
    paragraphs = [paragraph for paragraph in EXAMPLE.split("\n\n") if "=" in paragraph]
    assert not [paragraph for paragraph in paragraphs[1:] if not paragraph.startswith("# ")]


def test_no_secret_is_written_down() -> None:
    """Not in the example; and in compose.yaml each comes from there, or the start is refused."""
    assert not {name: value for name, value in VALUES.items() if SECRET.search(name) and value not in ("", "me:")}
    given = {
        name: value
        for service in SERVICES.values()
        for name, value in service["environment"].items()
        if SECRET.search(name) and value != "essaim"  # which names an access key
    }
    assert len(given) >= 6
    assert not {name: value for name, value in given.items() if not re.fullmatch(r"\$\{\w+:\?make \.env\}", value)}
    urls = re.findall(r"(?:amqp|mongodb)://\w+:(.*?)@", TEXT)
    assert len(urls) == 2
    assert all(url.startswith("${") for url in urls)


def test_git_and_the_image_leave_the_secrets_out() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    taken = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in taken
    assert "!.env" not in taken


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_server_is_pinned_healthy_bounded_and_keeps_its_data(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+", service["image"])
    assert service["healthcheck"]["test"]
    assert {volume.split(":")[0] for volume in service["volumes"]} <= set(COMPOSE["volumes"])


def test_images_are_those_of_the_cluster() -> None:
    for name in SERVERS:
        (manifest,) = (ROOT / "platform" / "components" / name).glob(f"{name}.yaml")
        assert f"image: {SERVICES[name]['image']}\n" in manifest.read_text()


def test_the_profile_observability_is_that_of_the_cluster() -> None:
    """The same images and arguments, the same files, and what Grafana may and may not do."""
    folders = {"otel-collector": "collector/collector", "loki": "loki/loki", "grafana": "grafana/grafana"}
    assert {name for name, it in SERVICES.items() if it.get("profiles") == ["observability"]} == set(folders)
    for name, file in folders.items():
        service = SERVICES[name]
        objects = yaml.safe_load_all((ROOT / "platform" / "observability" / f"{file}.yaml").read_text())
        (pod,) = (it["spec"]["template"]["spec"] for it in objects if "template" in it["spec"])
        (container,) = pod["containers"]
        assert service["image"] == container["image"]
        assert set(service.get("command", [])) <= set(container.get("args", []))
        theirs = {it["name"]: it.get("value") for it in container.get("env", [])}
        assert {key: value for key, value in service["environment"].items() if key.startswith("GF_")} == {
            key: value for key, value in theirs.items() if key.startswith("GF_")
        }
        mounted = [volume.split(":")[0] for volume in service["volumes"] if volume.startswith("./")]
        assert mounted
        assert all((ROOT / path).exists() for path in mounted)


def test_nothing_is_exported_until_somebody_says_so() -> None:
    assert VALUES["OTEL_SDK_DISABLED"] == "true"
    for name in ("api", "worker"):
        environment = SERVICES[name]["environment"]
        assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector:4318"
        assert environment["OTEL_SDK_DISABLED"] == "${OTEL_SDK_DISABLED}"


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_without_limits_or_listens_beyond_loopback(name: str) -> None:
    service = SERVICES[name]
    assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_api_and_workers_wait_for_healthy_servers(name: str) -> None:
    waits = SERVICES[name]["depends_on"]
    assert set(waits) == SERVERS
    assert all(wait == {"condition": "service_healthy"} for wait in waits.values())


def test_the_readme_scales_what_can_be_scaled() -> None:
    (command,) = re.findall(r"^\$ docker compose (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    (name,) = re.findall(r"--scale (\w+)=\d+", command)
    assert not {"ports", "container_name", "hostname"} & set(SERVICES[name])
