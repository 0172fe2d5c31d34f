"""From POST to result, beside Celery, dramatiq and taskiq: `python loadtests/bench_pipeline.py`.

Everybody runs on the same machine, RabbitMQ and MongoDB (`ESSAIM_TEST_RABBITMQ_URL`, `ESSAIM_TEST_MONGODB_URL`), one after
the other in rounds; medians and ratios of one run count, since machines differ. One API process, one worker process,
uvloop and httptools, confirmed and persistent messages, results in the database; the task does nothing.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from pathlib import Path

import uvloop
from pipeline.client import Client
from pipeline.contenders import Running, Servers, consuming, essaim, peer, peers_python
from pipeline.processes import cpu_seconds, free_port, listening_pid, start, stop

BODY = b'{"text": "a swarm", "words": ["swarm"]}'
WARM_UP = 100
PACED = 50.0  # POSTs a second for the latency without a crowd
OURS, OURS_ON_SQLITE, CEILING, CELERY = "essaim", "essaim, SQLite store", "constant", "celery"
PEERS = (CELERY, "dramatiq", "taskiq")
Open = Callable[[int], AbstractAsyncContextManager[Running]]


@dataclass(frozen=True)
class Figures:
    """Of one contender in one round; None where there is nothing to measure."""

    accepts: float
    crowd_p50: float
    crowd_p99: float
    results: float | None = None
    paced_p50: float | None = None
    paced_p99: float | None = None
    api_us: float | None = None
    worker_us: float | None = None
    broker_us: float | None = None
    database_us: float | None = None


async def measure(running: Running, port: int, folder: Path, servers: Servers, jobs: int, seconds: float) -> Figures:
    client = Client(f"http://127.0.0.1:{port}{running.path}", BODY)
    worker = start(running.worker, folder, running.environment) if running.worker else None
    if worker:
        await consuming(servers, running.queue)
    api = start(running.api, folder, running.environment)
    found: dict[str, float | None] = {}
    try:
        await _listening(port)
        warm = await client.flood(jobs=WARM_UP)
        if worker:
            await _all_done(running, warm.ids)
            pids = {
                "api_us": api.pid,
                "worker_us": worker.pid,
                "broker_us": listening_pid(servers.broker),
                "database_us": listening_pid(servers.database),
            }
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            began = time.perf_counter()
            posts = await client.flood(jobs=jobs)
            found["results"] = jobs / (await _all_done(running, posts.ids) - began)
            for name, pid in pids.items():
                used, at_first = cpu_seconds(pid), before[name]
                found[name] = None if used is None or at_first is None else (used - at_first) * 1e6 / jobs
            paced = await client.pace(PACED, seconds)
            found["paced_p50"], found["paced_p99"] = paced.percentile(0.5) * 1000, paced.percentile(0.99) * 1000
            await _all_done(running, paced.ids)
            stop(worker)
        crowd = await client.flood(seconds=seconds)
        return Figures(crowd.rate, crowd.percentile(0.5) * 1000, crowd.percentile(0.99) * 1000, **found)
    finally:
        stop(api)
        if worker and worker.poll() is None:
            stop(worker)


async def _listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                return
            except OSError:
                await asyncio.sleep(0.05)


async def _all_done(running: Running, ids: list[str]) -> float:
    """When the last of them was seen to be done, the newest first: the others are looked at when that is over."""
    last = time.perf_counter()
    async with asyncio.timeout(600):
        for job_id in reversed(ids):
            waited = False
            while not await running.done(job_id):
                waited = True
                await asyncio.sleep(0.005)
            if waited:
                last = time.perf_counter()
    return last


async def bench(servers: Servers, only: list[str], rounds: int, jobs: int, seconds: float, folder: Path) -> bool:
    python = peers_python()
    contenders: dict[str, Open] = {
        CEILING: lambda port: peer(servers, "constant", python, port),
        OURS: lambda port: essaim(servers, "mongodb", folder, port),
        OURS_ON_SQLITE: lambda port: essaim(servers, "sqlite", folder, port),
        CELERY: lambda port: peer(servers, "celery", python, port),
        "dramatiq": lambda port: peer(servers, "dramatiq", python, port),
        "taskiq": lambda port: peer(servers, "taskiq", python, port),
    }
    found: dict[str, list[Figures]] = {name: [] for name in only or contenders}
    for _ in range(rounds):
        for name in found:
            port = free_port()
            async with contenders[name](port) as running:
                figures = await measure(running, port, folder, servers, jobs, seconds)
            found[name].append(figures)
            print(f"{name}: {figures}", file=sys.stderr)
    medians = {name: _medians(of_one) for name, of_one in found.items()}
    _print(medians)
    _bounds(medians)
    return _goals(medians) if not only else True


def _medians(rounds: list[Figures]) -> Figures:
    values = {field.name: [getattr(one, field.name) for one in rounds] for field in fields(Figures)}
    return Figures(**{name: None if None in of_one else statistics.median(of_one) for name, of_one in values.items()})


def _print(medians: dict[str, Figures]) -> None:
    print(f"{'':<22}" + "".join(f"{field.name:>13}" for field in fields(Figures)))
    for name, figures in medians.items():
        values = [getattr(figures, field.name) for field in fields(Figures)]
        print(f"{name:<22}" + "".join(f"{'-' if value is None else format(value, '.1f'):>13}" for value in values))


def _bounds(medians: dict[str, Figures]) -> None:
    """What the CPU time of all four allows at most, if they had the machine to themselves."""
    cores = os.cpu_count() or 1
    for name, figures in medians.items():
        parts = {one: getattr(figures, f"{one}_us") for one in ("api", "worker", "broker", "database")}
        if None not in parts.values():
            total = sum(parts.values())
            most = max(parts, key=lambda one: parts[one])
            print(
                f"{name}: {total:.0f} us of CPU a job, most in the {most}: <= {cores * 1e6 / total:.0f}/s on {cores} cores"
            )


def _goals(medians: dict[str, Figures]) -> bool:
    """The claims, each with its figure; whether all hold."""
    accepted = medians[OURS].accepts / medians[CEILING].accepts
    over = {name: _over(medians[name].results, medians[CELERY].results) for name in (OURS, OURS_ON_SQLITE)}
    named = [field.name for field in fields(Figures)[:6]]
    ahead = [f"{name} ({figure})" for name in PEERS for figure in named if _ahead(medians, name, figure)]
    print(f"accepts over a constant route: {accepted:.2f} (goal 0.40)")
    print(f"results over Celery's: {over[OURS]:.1f}x (goal 5x); with the SQLite store {over[OURS_ON_SQLITE]:.1f}x")
    print(f"peers ahead: {', '.join(ahead) or 'nowhere'}")
    return accepted >= 0.4 and over[OURS] >= 5 and not ahead


def _over(ours: float | None, theirs: float | None) -> float:
    return (ours or 0.0) / (theirs or 1.0)


def _ahead(medians: dict[str, Figures], name: str, figure: str) -> bool:
    theirs, ours = getattr(medians[name], figure), getattr(medians[OURS], figure)
    return theirs > ours if figure in ("accepts", "results") else theirs < ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2000, help="from POST to result, in each round")
    parser.add_argument("--seconds", type=float, default=4.0, help="of POSTs alone, in each round")
    parser.add_argument("--only", nargs="+", default=[], help="these contenders")
    options = parser.parse_args()
    broker, database = os.environ.get("ESSAIM_TEST_RABBITMQ_URL"), os.environ.get("ESSAIM_TEST_MONGODB_URL")
    if not broker or not database:
        print("bench_pipeline: set ESSAIM_TEST_RABBITMQ_URL and ESSAIM_TEST_MONGODB_URL to compare with peers")
        return
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(broker, database.rstrip("/"))
        met = uvloop.run(bench(servers, options.only, options.rounds, options.jobs, options.seconds, Path(folder)))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
