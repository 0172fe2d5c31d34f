"""`essaim up`: it comes up, says what goes on, and takes everything with it, however it ends."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.essaim_command import COMMAND, environment, essaim, house, processes, running, wait_until

LONG = {"text": "a swarm", "words": ["swarm"], "pause_seconds": 600}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def work(folder: Path, url: str) -> None:
    """Give the house a job that runs until it is stopped, and wait for its worker."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        job = http.post("/v1/jobs", json=LONG).json()["links"]["self"]
        wait_until(lambda: http.get(job).json()["state"] == "running", "a running job")
    assert len(processes(folder)) >= 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_work_ends_everything_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    with house(tmp_path) as (process, url):
        work(tmp_path, url)
        assert process.stdout is not None
        assert any("workers  1 (desired 1)" in line for line in process.stdout)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.splitlines()[-2:] == ["draining …", "drained"]
    assert processes(tmp_path) == set()
    assert "worker.left" in (tmp_path / "logs" / "workers.log").read_text()


def test_it_says_where_it_is_in_lines_that_fit_a_terminal(tmp_path: Path) -> None:
    with running("up", "--port", "0", "--data", ".here", cwd=tmp_path) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert re.fullmatch(r"Essaim answers at http://127.0.0.1:\d+; open it in a browser for a live page\n", lines[0])
    assert lines[1] == "data and logs are in .here; press Ctrl-C to stop\n"
    assert lines[2] == "workers start as slowly as on a cluster; --speed 5 scales five times as fast\n"
    assert max(map(len, lines)) <= 80


def test_killed_it_leaves_no_orphan(tmp_path: Path) -> None:
    with house(tmp_path) as (process, url):
        work(tmp_path, url)
        process.kill()
        process.wait()
        wait_until(lambda: not processes(tmp_path), "the API and the workers leave")
    assert "worker.left" in (tmp_path / "logs" / "workers.log").read_text()


def test_a_killed_worker_and_a_killed_api_come_back(tmp_path: Path) -> None:
    with house(tmp_path) as (_, url):
        work(tmp_path, url)
        before = processes(tmp_path)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(processes(tmp_path) - before) >= 2, "two new processes")
        wait_until(lambda: essaim("jobs", "--server", url).code == 0, "an answer")


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = essaim("up", "--port", port, "--data", str(tmp_path))
    assert said.code == 2
    assert said.err == (
        f"essaim: cannot listen on 127.0.0.1 port {port} (Address already in use): choose another with --port\n"
    )
    assert processes(tmp_path) == set()


def test_rules_that_cannot_be_followed_are_refused(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("kind: ScaledObject\n")
    said = essaim("up", "--port", "0", "--data", str(tmp_path), "--scaledobject", str(rules))
    assert said.code == 2
    assert said.err.startswith(f"essaim: {rules} is no ScaledObject")
    assert "Traceback" not in said.err


def test_settings_that_are_not_safe_are_refused(tmp_path: Path) -> None:
    said = essaim("up", "--data", str(tmp_path), ESSAIM_API_HOST="0.0.0.0")
    assert said.code == 2
    assert "ESSAIM_API_TOKENS" in said.err


def test_tokens_of_the_environment_are_asked_for(tmp_path: Path) -> None:
    options = ("--port", "0", "--data", str(tmp_path))
    with running("up", *options, ESSAIM_API_TOKENS="ann:secret") as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[3].rstrip(";")
        without = essaim("jobs", "--server", url)
        assert essaim("jobs", "--server", url, "--token", "secret").code == 0
        assert essaim("jobs", ESSAIM_SERVER=url, ESSAIM_TOKEN="secret").code == 0
    assert without.code == 2
    assert "--token" in without.err


def test_in_a_terminal_it_is_a_live_view_until_ctrl_c(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "up", "--port", "0", "--data", str(tmp_path)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", LINES="30"),
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while b"none yet" not in seen:
        seen += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    text = seen.decode()
    assert all(word in text for word in ("queue", "workers", "why", "draining"))
    assert processes(tmp_path) == set()
