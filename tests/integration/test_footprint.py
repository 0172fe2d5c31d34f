"""What an idle process costs. The figures are printed; the memory bound is a promise, the import time is noisy."""

import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import House

MIB = 1024 * 1024


def rss(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
async def test_an_idle_worker_is_small(
    build_house: Callable[..., House], eventually: Callable[..., Awaitable[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    house = build_house(None)
    worker = house.start()
    async with house.backends() as backends:
        await eventually(backends.store.workers)
    size = rss(worker.pid)
    with capsys.disabled():
        print(f"\nidle worker: {size / MIB:.0f} MiB resident")
    assert size <= 70 * MIB


def test_the_api_imports_only_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    timed = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import api.app"], capture_output=True, text=True, check=True
    )
    lines = re.findall(r"import time:\s+\d+ \|\s+(\d+) \| (\s*)(\S+)", timed.stderr)
    modules = {name for _, _, name in lines}
    with capsys.disabled():
        print(f"\nimport api.app: {int(lines[-1][0]) / 1000:.0f} ms, {len(modules)} modules")
    assert "api.app" in modules
    drivers = {"sqlite3", "obstore", "aio_pika", "pymongo"}
    assert not modules & drivers
    assert not modules & {"pydantic_settings", "uvicorn", "httpx", "rich"}
