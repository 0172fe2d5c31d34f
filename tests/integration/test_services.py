"""services.sh, where no container engine is: what is installed is started, found by the README's commands, and ended."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import httpx
import pytest

from tests.conftest import eventually
from tests.integration.essaim_command import Said
from tests.servers import absent

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RABBITMQ = shutil.which("rabbitmq-server", path=f"/usr/lib/rabbitmq/bin{os.pathsep}{os.environ.get('PATH', '')}")


def free_port() -> int:
    """Low enough that those 20 000 above, which RabbitMQ takes too, are ports as well."""
    for port in range(11000 + os.getpid() % 1000, 12000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no port is free")


def checkout(folder: Path) -> dict[str, str]:
    """A folder with services.sh in it and other ports; the environment to run it in."""
    shutil.copy(ROOT / "services.sh", folder)
    shutil.copy(ROOT / ".env.example", folder)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ESSAIM_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "ENGINES": "",
        "PYTHON": sys.executable,
    }
    subprocess.run(["./services.sh", "env"], cwd=folder, env=environment, check=True)
    first = free_port()
    text = (folder / ".env").read_text()
    for number, name in enumerate(("RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT", "MONGODB_PORT", "S3_PORT")):
        text = re.sub(rf"^{name}=.*$", f"{name}={first + 10 * number}", text, flags=re.MULTILINE)
    (folder / ".env").write_text(text)
    return environment


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    environment = checkout(tmp_path)
    yield tmp_path, environment
    ended = subprocess.run(["./services.sh", "down"], cwd=tmp_path, env=environment, check=True, stderr=subprocess.PIPE)
    assert RABBITMQ is None or b"rabbitmq has ended" in ended.stderr


def test_each_secret_is_random_and_for_nobody_else_to_read(tmp_path: Path) -> None:
    checkout(tmp_path)
    text = (tmp_path / ".env").read_text()
    secrets = re.findall(r"[=:]([0-9a-f]{48})$", text, re.MULTILINE)
    assert (
        len(secrets)
        == len(set(secrets))
        == len(re.findall(r"[=:]$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    )
    assert not re.search(r"^[^#\n].*[=:]$", text, re.MULTILINE)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_secrets_that_are_there_are_never_changed(tmp_path: Path) -> None:
    environment = checkout(tmp_path)
    before = (tmp_path / ".env").read_text()
    subprocess.run(["./services.sh", "env"], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / ".env").read_text() == before


def up(folder: Path, *tools: str, environment: dict[str, str] | None = None, **servers: str) -> Said:
    """How `services.sh up` ends where nothing but these is installed: `servers` are shell scripts, by command."""
    environment = environment or checkout(folder)
    (folder / "bin").mkdir()
    for name in ("sh", "dirname", "mkdir", "od", "tr", "mv", "cat", "sed", "rm", *tools):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    for name, script in servers.items():
        (folder / "bin" / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name.replace("_", "-")).chmod(0o755)
    script = (folder / "services.sh").read_text().replace("/usr/lib/rabbitmq/bin:", "")
    (folder / "services.sh").write_text(script)
    environment = {**environment, "PATH": str(folder / "bin")}
    done = subprocess.run(["./services.sh", "up"], cwd=folder, env=environment, capture_output=True, text=True)
    return Said(done.returncode, done.stdout, done.stderr)


def test_one_that_is_installed_and_does_not_start_is_named_and_fails_the_command_and_the_eval(tmp_path: Path) -> None:
    tools = ("env", "nohup", "sleep", "grep")
    said = up(tmp_path, *tools, rabbitmq_server="echo no room >&2; exit 1", mongod="exit 1")
    assert said.code == 1
    log = tmp_path / ".essaim" / "services" / "rabbitmq.log"
    assert f"rabbitmq did not start; see {log}" in said.err
    assert log.read_text() == "no room\n"
    assert "no versitygw here (" in said.err
    assert "\ndid not start: rabbitmq mongodb\n" in said.err
    evaluated = subprocess.run(["sh", "-c", f"eval '{said.out}'"], stdin=subprocess.DEVNULL)
    assert (said.out, evaluated.returncode) == ("false\n", 1)


def test_a_port_that_somebody_else_has_is_named_and_fails_the_command(tmp_path: Path) -> None:
    environment = checkout(tmp_path)
    (port,) = re.findall(r"^MONGODB_PORT=(\d+)$", (tmp_path / ".env").read_text(), re.MULTILINE)
    with socket.create_server(("127.0.0.1", int(port))):
        said = up(tmp_path, "env", "nohup", environment=environment, mongod="exit 1")
    assert (said.code, said.out) == (1, "false\n")
    assert f"mongodb: something else listens on port {port}; choose another in .env" in said.err


def test_what_is_not_installed_is_named_and_nothing_is_exported_for_it(tmp_path: Path) -> None:
    said = up(tmp_path)
    assert (said.code, said.out) == (0, "")
    for name in ("rabbitmq-server", "mongod", "versitygw"):
        assert f"no {name} here (" in said.err
    assert "the embedded default stays: ESSAIM_QUEUE_URL ESSAIM_STORE_URL ESSAIM_TEXTS_URL" in said.err


async def test_the_readmes_commands_lead_from_nothing_to_a_result_over_rabbitmq(
    place: tuple[Path, dict[str, str]],
) -> None:
    if RABBITMQ is None:
        absent("no rabbitmq-server is installed")
    folder, environment = place
    (block,) = [
        block for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL) if "services" in block
    ]
    assert "\t@PYTHON=$(BIN)/python ./services.sh up\n" in (ROOT / "Makefile").read_text()
    commands = block.replace("make -s services", "./services.sh up").replace(
        "essaim up", 'echo "$ESSAIM_QUEUE_URL" >queue; exec essaim up --port 0 --no-live'
    )
    assert "./services.sh up" in commands
    assert "exec essaim up" in commands
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["sh", "-ec", commands], cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        found = await eventually(
            lambda: re.search(r"answers at (http://[\d.:]+)", (folder / "log").read_text()), deadline=150
        )
        async with httpx.AsyncClient(base_url=found.group(1), timeout=90) as client:
            request = {"words": ["swarm"], "text": "a swarm of bees"}
            answer = await client.post("/v1/jobs", json=request, headers={"Prefer": "wait=60"})
        assert answer.json()["state"] == "succeeded", answer.text
        async with await aio_pika.connect((folder / "queue").read_text().strip()) as connection:
            queue = await (await connection.channel()).get_queue("jobs.dev")
            assert queue.name == "jobs.dev"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_a_process_that_has_come_to_an_old_number_is_left_alone(tmp_path: Path) -> None:
    environment = checkout(tmp_path)
    (tmp_path / ".essaim" / "services").mkdir(parents=True)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as stranger:
        (tmp_path / ".essaim" / "services" / "rabbitmq.pid").write_text(str(stranger.pid))
        subprocess.run(["./services.sh", "down"], cwd=tmp_path, env=environment, check=True, timeout=60)
        stranger.communicate(timeout=60)
    assert stranger.returncode == 0


def test_the_exports_of_the_readme_are_those_that_are_printed() -> None:
    """But for the secrets, and with the ports of .env.example."""
    values = dict(re.findall(r"^(\w+)=(\S+)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    script = (ROOT / "services.sh").read_text()
    functions = "\n".join(re.findall(r"^(?:queue|store|texts)\(\) \{.*?\}$", script, re.MULTILINE | re.DOTALL))
    secrets = {
        f"{server}_{kind}": "PASSWORD"
        for server in ("RABBITMQ", "MONGODB", "S3")
        for kind in ("PASSWORD", "SECRET_KEY")
    }
    (call,) = re.findall(r'^ +(store "essaim:.*)$', script, re.MULTILINE)
    printed = subprocess.run(
        ["sh", "-euc", f"{functions}\nqueue\n{call}\ntexts"],
        env={**values, **secrets, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (block,) = re.findall(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert block == printed
