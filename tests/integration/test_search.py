"""The built-in search in real worker processes: equal to ripgrep, resumed where it was, stopped when told."""

import json
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from essaim.jobs.backends import Backends
from essaim.jobs.model import Job, State
from essaim.jobs.service import JobService
from essaim_words.payload import MIB, Request
from tests.conftest import BuildHouse, House, eventually

CHUNK = 8 * MIB
SOURCES = b"".join(path.read_bytes() for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")))
WORDS = sorted({word.decode() for word in re.findall(rb"[a-z]{4,12}", SOURCES)})


async def repeated(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, len(data)):
        yield data[: size - start]


async def ended(service: JobService, job: Job) -> Job:
    async def look() -> Job | None:
        now = await service.get(job.id)
        return now if now.state.ended else None

    found: Job = await eventually(look)
    return found


async def under_way(service: JobService, job: Job) -> None:
    async def look() -> bool:
        now = await service.get(job.id)
        assert not now.state.ended, now
        return now.progress > 0

    await eventually(look)


def bytes_read(pid: int) -> int:
    found = re.search(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text())
    assert found is not None
    return int(found.group(1))


@pytest.fixture
async def backends(build_house: BuildHouse) -> AsyncIterator[tuple[House, Backends, JobService]]:
    house = build_house(None)
    async with house.backends() as opened:
        yield house, opened, JobService(opened, house.settings)


@pytest.mark.parametrize("ignore_case", [False, True])
async def test_a_search_spread_over_workers_counts_as_ripgrep(
    backends: tuple[House, Backends, JobService], tmp_path: Path, ignore_case: bool
) -> None:
    house, opened, service = backends
    size, words = 3 * len(SOURCES), ["self", "return", "Guido", "import", "naïve", "__init__", "é"]
    (tmp_path / "text").write_bytes((SOURCES * 3)[:size])
    await opened.texts.put("lib/sources.py", repeated(SOURCES, size), limit=size)
    await opened.texts.put("lib/again/sources.py", repeated(SOURCES, size), limit=size)
    for _ in range(2):
        house.start()
    request = Request(words=words, texts=["lib/**"], ignore_case=ignore_case, piece_bytes=1_234_567)
    job, _ = await service.submit(request, "tester")
    done = await ended(service, job)
    assert done.state is State.SUCCEEDED, house.logs()
    result = json.loads(await service.result(done))
    assert done.tasks is not None
    assert done.tasks > 20
    for word in words:
        command = [
            Path(sys.executable).with_name("rg"),
            "--count-matches",
            "--no-config",
            "-a",
            "-E",
            "none",
            "-F",
            "-w",
        ]
        options = ["-i"] if ignore_case else ["-s"]
        found = subprocess.run([*command, *options, "--", word, tmp_path / "text"], capture_output=True, text=True)
        expected = int(found.stdout or 0)
        assert result["counts"][word] == 2 * expected
        for name in ("lib/sources.py", "lib/again/sources.py"):
            assert result["texts"][name]["words"].get(word, {"count": 0})["count"] == expected


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="reads /proc")
async def test_a_search_that_is_told_to_leave_is_resumed_without_reading_again(
    backends: tuple[House, Backends, JobService], record_property: Callable[[str, object], None]
) -> None:
    house, opened, service = backends
    size = 96 * MIB
    await opened.texts.put("large", repeated(SOURCES, size), limit=size)
    first = house.start()
    await eventually(opened.store.workers)
    idle = bytes_read(first.pid)
    request = Request(words=WORDS[:1000], texts=["large"], ignore_case=True, piece_bytes=1024 * MIB)
    job, _ = await service.submit(request, "tester")
    await under_way(service, job)
    told = time.monotonic()
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=30) == 0
    took = time.monotonic() - told
    saved = (await service.get(job.id)).progress * size
    second = house.start()
    done = await ended(service, job)
    by_second = bytes_read(second.pid) - idle
    record_property(
        "measured",
        f"SIGTERM in a search: gone in {took:.2f} s, {saved / MIB:.0f} of {size / MIB:.0f} MiB done; "
        f"the next worker read {by_second / MIB:.0f} MiB",
    )
    assert done.state is State.SUCCEEDED
    assert saved > CHUNK / 2
    assert by_second <= size - saved + 2 * CHUNK  # the rest, the margin before it, and what is read around the texts


async def test_a_cancelled_search_stops(
    backends: tuple[House, Backends, JobService], record_property: Callable[[str, object], None]
) -> None:
    house, opened, service = backends
    size = 256 * MIB
    await opened.texts.put("large", repeated(SOURCES, size), limit=size)
    house.start(ESSAIM_BEAT_SECONDS="1", ESSAIM_LEASE_SECONDS="15")
    request = Request(words=WORDS[:1000], texts=["large"], ignore_case=True, piece_bytes=1024 * MIB)
    job, _ = await service.submit(request, "tester")
    await under_way(service, job)
    told = time.monotonic()
    await service.cancel(job.id)
    await eventually(lambda: "task.stopped" in house.logs())
    record_property("measured", f"cancelled search: stopped after {time.monotonic() - told:.2f} s")
    (task,) = await opened.store.tasks(job.id)
    assert task.state is State.CANCELLED
    assert task.progress < 1


async def test_a_text_that_changes_while_its_job_runs_fails_the_job_and_says_so(
    backends: tuple[House, Backends, JobService],
) -> None:
    house, opened, service = backends
    size = 64 * MIB
    await opened.texts.put("large", repeated(SOURCES, size), limit=size)
    house.start()
    request = Request(words=WORDS[:1000], texts=["large"], ignore_case=True, piece_bytes=1024 * MIB)
    job, _ = await service.submit(request, "tester")
    await under_way(service, job)
    await opened.texts.put("large", repeated(b"other\n", 600), limit=size)
    done = await ended(service, job)
    assert done.problem is not None
    assert (done.state, done.problem.type) == (State.FAILED, "inputs-changed")
    assert "'large' is no longer the version" in done.problem.detail
