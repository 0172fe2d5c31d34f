"""Many real processes on one SQLite file: started together, killed, stalled, and nothing is lost."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from essaim.jobs.adapters.sqlite.queue import open_sqlite_queue
from essaim.jobs.adapters.sqlite.store import open_sqlite_store
from essaim.jobs.events import JobRetried, JobSubmitted, from_event, to_event
from essaim.jobs.model import Depth, Job, State
from essaim.jobs.ports import JobStore
from tests.conftest import eventually

Start = Callable[..., subprocess.Popen[str]]

ROLES = Path(__file__).with_name("sqlite_roles.py")
LEASE_SECONDS = 1.0


@pytest.fixture
def start() -> Iterator[Start]:
    """Run one of the functions at the end of this file in a process of its own, spoken to by lines of text."""
    processes: list[subprocess.Popen[str]] = []

    def started(function: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROLES), function, *map(str, arguments)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


async def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60)).strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def stop_outside_a_write(process: subprocess.Popen[str], path: Path) -> None:
    """Stop a process at any moment but while it holds the file: that would stop all others too, and prove nothing."""
    while True:
        process.send_signal(signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)


async def test_processes_that_make_a_fresh_file_together_all_get_in(tmp_path: Path, start: Start) -> None:
    rounds, processes = 15, [start("join", tmp_path) for _ in range(10)]
    assert [await line_of(process) for process in processes] == ["ready"] * 10
    for number in range(rounds):
        for process in processes:
            tell(process, str(number))
        assert [await line_of(process) for process in processes] == ["in"] * 10
        url = f"sqlite:///{tmp_path}/{number}.db"
        async with open_sqlite_queue(url, "r1", 100) as queue, open_sqlite_store(url, LEASE_SECONDS) as store:
            assert await queue.depth() == Depth(ready=10, in_flight=0)
            assert await store.counts() == {"r1": {State.QUEUED: 10}}


async def test_killed_processes_lose_nothing(tmp_path: Path, start: Start) -> None:
    path, log = tmp_path / "essaim.db", tmp_path / "completed.log"
    url = f"sqlite:///{path}"
    async with open_sqlite_queue(url, "r1", 1000) as queue, open_sqlite_store(url, LEASE_SECONDS) as store:
        jobs = [Job(f"job-{n}", "ada", "r1", {"n": n}, "f", datetime.now(UTC)) for n in range(500)]
        await queue.publish([to_event(JobSubmitted(job), "r1") for job in jobs])
        processes = [start("consume", url, log) for _ in range(8)]
        killed = set()
        for done in (60, 150):
            await eventually(lambda done=done: _succeeded(store, done), deadline=120)
            killed.add(await _kill_in_the_middle(processes, path))

        await eventually(lambda: _succeeded(store, 500), deadline=120)
        await eventually(lambda: _is(queue.depth(), Depth(ready=0, in_flight=0)))
        assert await store.counts() == {"r1": {State.SUCCEEDED: 500}}
        assert [(await store.get(job.id)).result for job in jobs] == [b"%d" % n for n in range(500)]
        assert await queue.dead_letters() == []

    completions = Counter(log.read_text().split())
    assert max(completions.values()) == 1
    unnoted = {job.id for job in jobs} - completions.keys()  # completed by one that was killed before it could say so
    with closing(sqlite3.connect(path)) as shell:
        workers = dict(shell.execute("SELECT job_id, worker FROM tasks").fetchall())
        assert {workers[job_id] for job_id in unnoted} <= killed
        assert shell.execute("SELECT sum(attempts) > count(*) FROM tasks").fetchone() == (1,)  # the kills did hit
        assert shell.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def _kill_in_the_middle(processes: list[subprocess.Popen[str]], path: Path) -> str:
    """Kill one process while it works on a task. Returns the name that it has in the store."""
    while True:
        process = processes.pop(0)
        stop_outside_a_write(process, path)
        with closing(sqlite3.connect(path)) as shell:
            sql = "SELECT count(*) FROM tasks WHERE state = 'running' AND worker = ?"
            if shell.execute(sql, (str(process.pid),)).fetchone()[0]:
                process.kill()
                return str(process.pid)
        process.send_signal(signal.SIGCONT)
        processes.append(process)


async def _succeeded(store: JobStore, at_least: int) -> bool:
    return (await store.counts()).get("r1", {}).get(State.SUCCEEDED, 0) >= at_least


async def _is(asking: Awaitable[object], wanted: object) -> bool:
    return await asking == wanted


async def test_a_consumer_that_stalls_gives_up_its_messages_and_comes_back(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "essaim.db"
    async with open_sqlite_queue(f"sqlite:///{path}", "r1", 10) as queue:
        stalled = start("hold", f"sqlite:///{path}")
        await queue.publish([to_event(JobRetried("first", 2), "r1")])
        assert await line_of(stalled) == "holds first"
        stop_outside_a_write(stalled, path)
        assert await queue.depth() == Depth(ready=0, in_flight=1)

        async with queue.deliveries(1) as deliveries:
            delivery = await asyncio.wait_for(anext(deliveries), 60)
        assert from_event(delivery.event) == JobRetried("first", 2)
        stalled.send_signal(signal.SIGCONT)
        tell(stalled, "ack")
        assert await line_of(stalled) == "acknowledged first"
        assert await queue.depth() == Depth(ready=0, in_flight=1)  # it is ours now, and its late word changed nothing
        await delivery.release()
        assert await line_of(stalled) == "holds first"
        tell(stalled, "ack")
        assert await line_of(stalled) == "acknowledged first"
        assert await queue.depth() == Depth(ready=0, in_flight=0)


async def test_what_a_dead_process_held_counts_as_ready(tmp_path: Path, start: Start) -> None:
    """Though no consumer is left to notice: or nobody would be started for it."""
    url = f"sqlite:///{tmp_path}/essaim.db"
    async with open_sqlite_queue(url, "r1", 10) as queue:
        dying = start("hold", url)
        await queue.publish([to_event(JobRetried("first", 2), "r1")])
        assert await line_of(dying) == "holds first"
        assert await queue.depth() == Depth(ready=0, in_flight=1)
        dying.kill()
        assert await eventually(lambda: _is(queue.depth(), Depth(ready=1, in_flight=0)))
