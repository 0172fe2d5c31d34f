"""How long the SQLite store takes for each call, with few jobs in it and with many: `python loadtests/bench_store.py`.

The claim is that no call slows down with the number of jobs. Figures of one run on one machine can be compared, so
the ratio counts; the milliseconds depend on the disk and on what else it does.
"""

import argparse
import asyncio
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from uuid_utils import uuid7

from essaim.jobs.adapters.sqlite.queue import SqliteQueue, open_sqlite_queue
from essaim.jobs.adapters.sqlite.store import SqliteStore, open_sqlite_store
from essaim.jobs.adapters.values import cursor_at, stamp
from essaim.jobs.events import JobSubmitted, to_event
from essaim.jobs.model import Claimed, Job, State

START = datetime(2026, 1, 1, tzinfo=UTC)
RELEASES = ("r1", "r2", "r3")
TASKS_OF_LARGE_JOB = 10_000
GOAL_MS = 20.0

Call = Callable[[], Awaitable[Any]]


def new_job(number: int | None = None) -> Job:
    """The given number of seconds after the start, or now."""
    created = datetime.now(UTC) if number is None else START + timedelta(milliseconds=number)
    request = {"words": ["liberté", "égalité"], "texts": ["books/**"]}
    return Job(str(uuid7()), "ada", random.choice(RELEASES), request, "f" * 64, created)


def fill(path: Path, jobs: int) -> list[str]:
    """Insert jobs that have ended, each with one task, past the adapter but through the same tables and triggers."""
    ids: list[str] = []

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(jobs):
            job = new_job(number)
            ids.append(job.id)
            at = stamp(job.created)
            state = random.choice((State.SUCCEEDED, State.SUCCEEDED, State.SUCCEEDED, State.FAILED, State.CANCELLED))
            yield (job.id, job.owner, job.release, job.fingerprint, at, state, 1, at, at, 1, 1, 1.0)

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO jobs (id, owner, release, fingerprint, created, state, run, started, ended, tasks, "
            "tasks_ended, progress_sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows(),
        )
        request = '{"words": ["liberté", "égalité"], "texts": ["books/**"]}'
        values = ((job_id, request, b'{"counts": {}}') for job_id in ids)
        connection.executemany("INSERT INTO payloads (job_id, request, result) VALUES (?, ?, ?)", values)
        connection.executemany("INSERT INTO tasks (job_id, number, state) VALUES (?, 0, 'succeeded')", zip(ids))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return ids


async def calls(queue: SqliteQueue, store: SqliteStore, ids: list[str]) -> dict[str, Call]:
    """The calls to measure, by name. Each does something else every time."""
    large = await store.submit(new_job())
    await store.plan(large.id, 1, [b"{}"] * TASKS_OF_LARGE_JOB)
    beating = await store.claim(large.id, 0, "worker")
    assert isinstance(beating, Claimed)
    numbers = iter(range(1, TASKS_OF_LARGE_JOB))

    async def claim_and_finish() -> None:
        claimed = await store.claim(large.id, next(numbers), "worker")
        assert isinstance(claimed, Claimed)
        await store.finish(claimed.claim, b"{}")

    cursors = await _cursors(store, ids)
    return {
        "nothing, on a thread": lambda: asyncio.to_thread(int),  # what of each figure is the machine's noise
        "publish (to the disk)": lambda: queue.publish([to_event(JobSubmitted(new_job()), "r1")]),
        "submit": lambda: store.submit(new_job()),
        "get": lambda: store.get(random.choice(ids)),
        "get, 10k tasks": lambda: store.get(large.id),
        "list, first page": store.list,
        "list, deep page": lambda: store.list(cursor=random.choice(cursors)),
        "list, one state": lambda: store.list(states=[State.FAILED], cursor=random.choice(cursors)),
        "list, state+release": lambda: store.list(states=[State.FAILED, State.CANCELLED], release="r2"),
        "list, no match": lambda: store.list(states=[State.FAILED], release="r9"),
        "counts": store.counts,
        "claim+finish (disk)": claim_and_finish,
        "beat": lambda: store.beat(beating.claim, random.random(), b"{}"),
        "tasks": lambda: store.tasks(large.id, after=random.randrange(TASKS_OF_LARGE_JOB - 200)),
        "purge, nothing to do": lambda: store.purge(START - timedelta(days=1)),
    }


async def _cursors(store: SqliteStore, ids: list[str]) -> list[str]:
    """Cursors from all over the list, as whoever paged that far would have them."""
    jobs = [await store.get(job_id) for job_id in random.sample(ids, 100)]
    return [cursor_at(stamp(job.created), job.id) for job in jobs]


async def measure(by_size: dict[int, Call], repeats: int) -> dict[int, list[float]]:
    """Milliseconds of each call, sorted. The sizes take turns, so that what else the machine does hits all alike."""
    times: dict[int, list[float]] = {size: [] for size in by_size}
    for _ in range(repeats):
        for size, call in by_size.items():
            before = time.perf_counter()
            await call()
            times[size].append((time.perf_counter() - before) * 1000)
    return {size: sorted(found) for size, found in times.items()}


async def run(sizes: list[int], repeats: int) -> bool:
    async with AsyncExitStack() as stack:
        todo = {}
        for size in sizes:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "essaim.db"
            queue = await stack.enter_async_context(open_sqlite_queue(f"sqlite:///{path}", "r1", 100_000))
            store = await stack.enter_async_context(open_sqlite_store(f"sqlite:///{path}", 15.0))
            before = time.perf_counter()
            ids = fill(path, size)
            took, megabytes = time.perf_counter() - before, path.stat().st_size / 1e6
            print(f"{size} jobs: filled in {took:.0f} s, {megabytes:.0f} MB", file=sys.stderr)
            todo[size] = await calls(queue, store, ids)
        names = list(todo[sizes[0]])
        found = {name: await measure({size: todo[size][name] for size in sizes}, repeats) for name in names}
    _print(found, sizes)
    return all(_p99(times) < GOAL_MS for by_size in found.values() for times in by_size.values())


def _print(found: dict[str, dict[int, list[float]]], sizes: list[int]) -> None:
    heads = "".join(f"{f'{size} jobs':>22}" for size in sizes)
    print(f"{'milliseconds':<22}{heads}{'ratio of medians':>20}")
    print(f"{'':<22}" + f"{'p50':>14}{'p99':>8}" * len(sizes))
    for name, by_size in found.items():
        columns = [by_size[size] for size in sizes]
        numbers = "".join(f"{statistics.median(times):>14.2f}{_p99(times):>8.2f}" for times in columns)
        print(f"{name:<22}{numbers}{statistics.median(columns[-1]) / statistics.median(columns[0]):>20.2f}")


def _p99(times: list[float]) -> float:
    return times[int(len(times) * 0.99)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[10_000, 1_000_000], help="numbers of jobs to compare")
    parser.add_argument("--repeats", type=int, default=500, help="calls of each kind")
    options = parser.parse_args()
    met = asyncio.run(run(options.jobs, options.repeats))
    print(f"p99 under {GOAL_MS:.0f} ms everywhere: {'yes' if met else 'NO'}")


if __name__ == "__main__":
    main()
