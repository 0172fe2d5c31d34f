"""`python -m essaim_api` as a process: how it starts, where it listens, and how it leaves."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import BuildHouse, eventually

ROOT = Path(__file__).parents[2]


def address(house: Any) -> str | None:
    found = re.search(r"api\.listening address=(\S+)", house.logs())
    return found[1] if found else None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_leaves_with_streams_waits_and_transfers_open(build_house: BuildHouse, number: signal.Signals) -> None:
    house = build_house(None, api_port=0, stream_seconds=3600, max_wait_seconds=3600, idle_seconds=3600)
    process = house.start("api")
    url = await eventually(lambda: address(house))
    request = {"json": {"text": "a", "words": ["a"]}}
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
        job_id = (await http.post("/v1/jobs", **request)).json()["id"]
        waiting = asyncio.create_task(http.post("/v1/jobs", **request, headers={"prefer": "wait=3600"}))
        _, upload = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        upload.write(b"PUT /v1/texts/half HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf")
        async with http.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
            lines = stream.aiter_lines()
            while not (await anext(lines)).startswith("data:"):
                pass
            process.send_signal(number)
            assert [line async for line in lines if line.startswith("data:")] == []
        assert (await waiting).status_code == 202
        assert await asyncio.to_thread(process.wait, 60) == 0, house.logs()
        upload.close()
    assert "api.draining" in house.logs()
    assert not list((house.folder / "data" / "texts").rglob("half*"))


async def test_it_leaves_with_its_parent(build_house: BuildHouse) -> None:
    house = build_house(None, api_port=0)
    theirs, ours = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "essaim_api"],
        cwd=house.folder,
        env={"PATH": os.environ["PATH"], **house.environment, "ESSAIM_PARENT_FD": str(theirs)},
        pass_fds=[theirs],
        stderr=subprocess.PIPE,
    )
    house.processes.append(process)
    os.close(theirs)
    assert process.stderr is not None
    with process.stderr as log:
        assert b"api.listening" in await asyncio.to_thread(log.readline)
        os.close(ours)
        assert await asyncio.to_thread(process.wait, 60) == 0


def test_a_mistake_in_the_settings_is_a_line_each(build_house: BuildHouse) -> None:
    house = build_house(None, api_port="many", release="NOT VALID")
    process = house.start("api")
    assert process.wait(60) == 2
    lines = house.logs().strip().splitlines()[1:]
    assert len(lines) == 2
    assert "ESSAIM_API_PORT" in lines[0] + lines[1]
    assert "ESSAIM_RELEASE" in lines[0] + lines[1]


def test_an_address_in_use_is_said_in_a_line(build_house: BuildHouse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        house = build_house(None, api_port=taken.getsockname()[1])
        process = house.start("api")
        assert process.wait(60) == 2
    assert "Traceback" not in house.logs()
    assert "in use" in house.logs()


def test_importing_the_app_loads_only_what_it_needs() -> None:
    """Cold start: no settings, no adapter, no driver, no server, no client."""
    code = "import sys, essaim_api.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = set(loaded.stdout.split())
    assert "fastapi" in modules
    for name in (
        "pydantic_settings",
        "essaim.jobs.settings",
        "essaim.jobs.backends",
        "essaim.jobs.adapters",
        "uvicorn",
        "uvloop",
        "httpx",
    ):
        assert name not in modules
    for driver in ("aiosqlite", "sqlite3", "obstore", "pymongo", "aio_pika"):
        assert driver not in modules
