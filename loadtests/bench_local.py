"""Does more workers mean faster? Real worker processes on the embedded default, both sides in one run, in turn.

    python loadtests/bench_local.py [--megabytes 1000] [--rounds 3]

1. One CPU-bound search, by one worker and by two: the ratio of wall times, goal >= 1.7 on two quiet cores. How quiet
   they are is measured in the same rounds: the same ratio for bare loops in one process and in two.
2. 40 tasks that sleep a second each, by ten workers: wall time over the ideal four seconds, goal <= 1.3.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from essaim.jobs.backends import Backends, open_backends
from essaim.jobs.service import JobService
from essaim.jobs.settings import Settings, load_settings
from essaim_words.payload import Request

MB = 1_000_000
WORDS = ["import", "return", "error", "value", "string", "class", "object", "number", "index", "default"]


async def corpus(megabytes: int) -> AsyncIterator[bytes]:
    """The standard library's own sources, again and again."""
    sources = b"".join(path.read_bytes() for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")))
    left = megabytes * MB
    while left > 0:
        yield sources[:left]
        left -= len(sources)


@asynccontextmanager
async def workers(settings: Settings, backends: Backends, count: int) -> AsyncIterator[None]:
    """So many worker processes, up and idle."""
    environment = {"ESSAIM_DATA_DIR": str(settings.data_dir), "ESSAIM_LOG_LEVEL": "ERROR"}
    processes = [subprocess.Popen([sys.executable, "-m", "essaim_worker"], env=environment) for _ in range(count)]
    try:
        while len(await backends.store.workers()) < count:
            await asyncio.sleep(0.05)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


async def seconds(service: JobService, request: Request) -> float:
    """From submission to success."""
    start = time.perf_counter()
    job, _ = await service.submit(request, "bench")
    while not job.state.ended:
        await asyncio.sleep(0.02)
        job = await service.get(job.id)
    if job.state != "succeeded":
        raise SystemExit(f"the job has {job.state}: {job.problem}")
    return time.perf_counter() - start


def two_loops_over_one() -> float:
    """How many times the work of one process two of them get done here and now: 2.0 on two idle cores."""

    def run(count: int) -> float:
        start = time.perf_counter()
        loops = [subprocess.Popen([sys.executable, "-c", "sum(range(60_000_000))"]) for _ in range(count)]
        for loop in loops:
            loop.wait()
        return time.perf_counter() - start

    return 2 * run(1) / run(2)


async def bench(megabytes: int, rounds: int, folder: Path) -> bool:
    settings = load_settings(data_dir=folder, release="dev")
    async with open_backends(settings) as backends:
        service = JobService(backends, settings)
        await backends.texts.put("corpus", corpus(megabytes), limit=megabytes * MB)
        search = Request(words=WORDS, texts=["corpus"], ignore_case=True, whole_words=False)
        times: dict[int, list[float]] = {1: [], 2: []}
        bare = []
        for number in range(rounds):
            bare.append(two_loops_over_one())
            for count in (1, 2) if number % 2 == 0 else (2, 1):
                async with workers(settings, backends, count):
                    times[count].append(await seconds(service, search))
        one, two = (statistics.median(times[count]) for count in (1, 2))
        print(f"search of {megabytes} MB: 1 worker {one:.2f} s, 2 workers {two:.2f} s: {one / two:.2f}x (goal 1.7x)")
        print(f"bare loops, 2 processes over 1, in the same rounds: {statistics.median(bare):.2f}x")

        names = [f"small/{number}" for number in range(40)]
        for name in names:
            await backends.texts.put(name, corpus(0), limit=MB)
        async with workers(settings, backends, 10):
            pauses = [
                await seconds(service, Request(words=["x"], texts=["small/*"], pause_seconds=1)) for _ in range(rounds)
            ]
        paused = statistics.median(pauses)
        print(f"40 tasks of 1 s on 10 workers: {paused:.2f} s, ideal 4 s: {paused / 4:.2f}x (goal 1.3x)")
        return one / two >= 1.7 and paused / 4 <= 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(0 if asyncio.run(bench(options.megabytes, options.rounds, Path(folder))) else 1)


if __name__ == "__main__":
    main()
