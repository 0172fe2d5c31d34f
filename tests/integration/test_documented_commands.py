"""The commands of README.md and docs/*.md, run as they are written. What wants a cluster or minutes has its options checked.

`docs/tour` has its own (tests/tour.py). Every block says in a comment before it who runs it, or holds it against what.
"""

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import httpx
import pytest
import yaml

from loadtests.load.__main__ import command_line
from tests.conftest import ROOT
from tests.integration.conftest import Serving
from tests.integration.essaim_command import environment

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text()
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
FENCE = re.compile(r"^(?:<!-- (.+) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = dict(re.findall(r"^<!-- (\w+\.py) of [^\n]*-->\n```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
COMMANDS = sorted(
    {line for page in PAGES for line in re.findall(r"^\$ (.+)$", page.read_text(), re.MULTILINE)}
)  # of the blocks of the language `console`


def starting(with_: str) -> list[str]:
    found = [command for command in COMMANDS if command.startswith(with_)]
    assert found, f"no page has `$ {with_} …`"
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where commands run that expect a checkout, and leave files."""
    for path in ("tests", "platform", "Makefile"):
        (tmp_path / path).symlink_to(ROOT / path)
    return tmp_path


def run(command: str, folder: Path, **variables: str) -> str:
    """What it prints. The exit code must be 0."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(PATH=PATH, **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_names_the_test_that_runs_or_compares_it(page: Path) -> None:
    for comment, _, content in FENCE.findall(page.read_text()):
        files = re.findall(r"(?:by|of) ((?:tests/|\.ci/)[\w/.]*\w)", comment)
        assert files, f"{page.name}: nobody says what becomes of\n{content}"
        assert (ROOT / files[0]).is_file(), files[0]


@pytest.mark.parametrize("command", starting("essaim plan"))
def test_a_plan_is_made_as_it_is_written(folder: Path, command: str) -> None:
    said = run(command, folder)
    assert "\nTake " in said
    if "--html" in command:
        assert (folder / "plan.html").read_text().startswith("<!doctype html>")


async def test_a_job_with_a_callback_is_submitted_as_it_is_written(serving: Serving, folder: Path) -> None:
    (command,) = starting("essaim submit")
    (folder / "request.json").write_text('{"text": "a swarm", "words": ["swarm"]}')
    async with serving(callback_hosts="hooks.example.com", callback_secret="s" * 32) as site:
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            command,
            cwd=folder,
            env=environment(PATH=PATH, ESSAIM_SERVER=str(site.http.base_url)),
            stdout=PIPE,
        )
        job = (await process.communicate())[0].decode().strip()
        assert process.returncode == 0
        assert (await site.http.get(f"/v1/jobs/{job}")).json()["callback"] == "https://hooks.example.com/done"


def test_your_own_work_comes_up_as_it_is_written(folder: Path) -> None:
    (command,) = starting("ESSAIM_WORKLOAD=")
    (folder / "checksums").mkdir()
    for name, content in PYTHON.items():
        (folder / "checksums" / name).write_text(content)
    with subprocess.Popen(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(PATH=PATH, ESSAIM_API_PORT="0"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            url = next(found[0] for line in lines if (found := re.findall(r"http://[0-9.]+:\d+", line)))
            document = httpx.get(f"{url}/openapi.json", trust_env=False, timeout=60).json()
            os.killpg(process.pid, signal.SIGINT)
            assert "drained\n" in list(lines)
        finally:
            process.kill()
    assert list(document["components"]["schemas"]["Request"]["properties"]) == ["pattern"]


def test_two_releases_come_up_as_it_is_written(folder: Path) -> None:
    (command,) = starting("essaim up")
    (other,) = re.findall(r"v2=(\S+)", command)
    here = folder / "here"
    here.mkdir()
    (here / other).resolve().mkdir()
    for name, content in PYTHON.items():
        (here / other / name).write_text(content)
    variables = environment(PATH=PATH, ESSAIM_API_PORT="0")
    with subprocess.Popen(
        ["sh", "-c", f"exec {command}"],
        cwd=here,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            addresses = next(found for line in lines if (found := re.findall(r"(v\d) at (http://\S+?)[,;]", line)))
            schemas = {
                name: httpx.get(f"{url}/openapi.json", trust_env=False, timeout=60).json()["components"]["schemas"]
                for name, url in addresses
            }
            process.send_signal(signal.SIGINT)
            assert "drained\n" in list(lines)
            assert process.wait() == 0
        finally:
            process.kill()
    assert "pattern" not in schemas["v1"]["Request"]["properties"]
    assert list(schemas["v2"]["Request"]["properties"]) == ["pattern"]


@pytest.mark.parametrize("command", starting("essaim "))
def test_a_command_has_the_options_that_are_written(folder: Path, command: str) -> None:
    run(f"{command} --help", folder)


@pytest.mark.parametrize("command", starting("make load"))
def test_the_load_generator_takes_what_is_written(folder: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("request.json").write_text('{"text": "a swarm", "words": ["swarm"]}')
    words = shlex.split(command)
    recipe = run(shlex.join([words[0], "--no-print-directory", "-n", *words[1:]]), ROOT).splitlines()[-1]
    given = command_line().parse_args(shlex.split(recipe.partition("-m loadtests.load ")[2]))
    assert f"SHAPE={given.shape}" in words


def test_grafana_is_where_it_is_written() -> None:
    (forward,), (compose,) = starting("kubectl -n essaim port-forward"), starting("OTEL_SDK_DISABLED")
    service, port = re.findall(r"service/(\w+) (\d+)$", forward)[0]
    manifests = yaml.safe_load_all((ROOT / "platform" / "observability" / "grafana" / "grafana.yaml").read_text())
    (found,) = [it for it in manifests if it["kind"] == "Service" and it["metadata"]["name"] == service]
    assert int(port) in [it["port"] for it in found["spec"]["ports"]]
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    (profile,) = re.findall(r"--profile (\w+)", compose)
    assert services["grafana"]["profiles"] == [profile]
    assert services["grafana"]["ports"] == ["127.0.0.1:${GRAFANA_PORT}:3000"]
    assert f"GRAFANA_PORT={port}\n" in (ROOT / ".env.example").read_text()
