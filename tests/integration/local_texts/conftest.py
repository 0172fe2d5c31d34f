"""What the local text store does with a real file system, in this process or in one of its own."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from essaim.jobs.adapters.texts.opening import open_texts
from essaim.jobs.adapters.texts.store import ObjectTexts
from tests.conftest import ROOT

SCRIPT = """
import asyncio, json, os, resource, sys
from pathlib import Path
from essaim.jobs.adapters.texts.opening import open_texts
from essaim.errors import EssaimError

CHUNK = bytes(65536)

async def stream(size):
    for _ in range(size // len(CHUNK)):
        yield CHUNK

async def main(url, size):
    async with open_texts(url, "texts") as texts:
"""


def script(body: str, folder: Path, size: int = 0) -> Sequence[str]:
    lines = "".join(f"        {line}\n" for line in body.strip().splitlines())
    return [sys.executable, "-c", f"{SCRIPT}{lines}asyncio.run(main({folder.as_uri()!r}, {size}))"]


def run(body: str, folder: Path, size: int = 0) -> Any:
    """Run the lines in a process of their own, with `texts` open. Returns what they print, as JSON."""
    done = subprocess.run(script(body, folder, size), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
async def texts(tmp_path: Path) -> AsyncIterator[ObjectTexts]:
    async with open_texts(tmp_path.as_uri(), "texts") as store:
        yield store


def files(folder: Path) -> set[str]:
    """Every file there is, but for locks."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() and path.name != "lock"}
