"""compose.yaml under a real engine, in a project of its own, which is removed again. Only `make test-compose` runs them.

ESSAIM_TEST_COMPOSE_FILE is laid over compose.yaml, where images come from elsewhere.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.conftest import ROOT
from tests.ports import free_port

if "ESSAIM_TEST_COMPOSE" not in os.environ:
    collect_ignore_glob = ["test_*"]


class Project:
    """`docker compose`, and the API that it brings up."""

    def __init__(self, folder: Path) -> None:
        text = re.sub(r"^(\w+_PORT)=.*$", lambda it: f"{it[1]}={free_port()}", example(), flags=re.MULTILINE)
        self.env = folder / ".env"
        self.env.write_text(re.sub(r"^([\w]+=(?:me:)?)$", lambda it: f"{it[1]}{uuid4().hex}", text, flags=re.MULTILINE))
        values = dict(re.findall(r"^(\w+)=(.*)$", self.env.read_text(), re.MULTILINE))
        self.url = f"http://127.0.0.1:{values['API_PORT']}"
        self.token = values["ESSAIM_API_TOKENS"].removeprefix("me:")
        files = [f"--file={ROOT / 'compose.yaml'}"]
        if more := os.environ.get("ESSAIM_TEST_COMPOSE_FILE"):
            files.append(f"--file={more}")
        self._command = [
            "docker",
            "compose",
            f"--project-name=essaim-{uuid4().hex[:6]}",
            f"--env-file={self.env}",
            *files,
        ]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, timeout=900, cwd=ROOT)
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout

    def up(self) -> None:
        """Return when all that can be is healthy."""
        self("up", "--build", "--detach", "--wait", "--scale", "worker=2")

    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=90, trust_env=False)


def example() -> str:
    return (ROOT / ".env.example").read_text()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("compose"))
    try:
        project.up()
        yield project
    finally:
        project("down", "--volumes")
