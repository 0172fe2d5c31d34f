"""What an idle process costs. The figures are printed; the memory bound is a promise, the import time is noisy."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import BuildHouse, eventually

MIB = 1024 * 1024


def rss(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
async def test_an_idle_worker_is_small(
    build_house: BuildHouse,
    record_property: Callable[[str, object], None],
) -> None:
    house = build_house(None)
    worker = house.start()
    async with house.backends() as backends:
        await eventually(backends.store.workers)
    size = rss(worker.pid)
    record_property("measured", f"idle worker: {size / MIB:.0f} MiB resident")
    assert size <= 70 * MIB


def test_the_api_imports_only_what_it_needs(record_property: Callable[[str, object], None]) -> None:
    command = [sys.executable, "-X", "importtime", "-c", "import essaim_api.app"]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stderr for _ in range(5)]
    timed = [re.findall(r"import time:\s+\d+ \|\s+(\d+) \| +(\S+)", run) for run in runs]
    best = min(timed, key=lambda lines: int(lines[-1][0]))
    cost = {name: int(total) / 1000 for total, name in best}
    record_property(
        "measured", f"import essaim_api.app: {cost['essaim_api.app']:.0f} ms, of which FastAPI {cost['fastapi']:.0f}"
    )
    drivers = {"sqlite3", "obstore", "aio_pika", "pymongo"}
    assert not cost.keys() & drivers
    assert not cost.keys() & {"pydantic_settings", "uvicorn", "httpx", "rich"}
