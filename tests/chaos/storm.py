"""A storm of faults in an order from a seed, over processes that are started again whenever they have ended."""

import asyncio
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import House
from tests.proxy import Proxy

WORKERS = 3
APIS = 2
LOOK_SECONDS = 0.1
LULL_LINES = (
    40  # at most, that the journals get between two faults: so a slow machine has no other storm than a fast one
)
STALL_SECONDS = 10.0  # at most; the lease and the queue's patience with a silent consumer are shorter
LINE = 9  # bytes, about
LULL_SECONDS = 5.0  # at most, since a fault may also come while nothing goes on
REFUSED = 2  # exit code of a process that does not start because a server is away

Process = subprocess.Popen[bytes]
Fault = Callable[[], Awaitable[None]]
Deck = dict[str, tuple[int, Fault]]  # how often in each round, and what to do


@dataclass
class Crew:
    """Keeps the processes running; `ports` are those of the APIs. Whoever leaves without being killed is written down."""

    house: House
    ports: list[int]
    workers: list[Process] = field(default_factory=list)
    apis: list[Process] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    left: list[str] = field(default_factory=list)

    async def keep(self) -> None:
        while True:
            self.workers = [process for process in self.workers if not self._ended(process)]
            while len(self.workers) < WORKERS:
                self.workers.append(self.house.start("worker"))
            for number, port in enumerate(self.ports):
                if number == len(self.apis):
                    self.apis.append(self.house.start("api", ESSAIM_API_PORT=str(port)))
                elif self._ended(self.apis[number]):
                    self.apis[number] = self.house.start("api", ESSAIM_API_PORT=str(port))
            await asyncio.sleep(LOOK_SECONDS)

    def kill(self, process: Process) -> None:
        process.kill()
        self.killed.add(process.pid)

    def _ended(self, process: Process) -> bool:
        code = process.poll()
        if code is not None and process.pid not in self.killed and code != REFUSED:
            self.left.append(f"{process.args} left with {code}")
        return code is not None


@dataclass
class Storm:
    """Round after round of the deck's faults; `faults` counts them."""

    crew: Crew
    journals: Path
    dice: random.Random
    deck: Deck = field(default_factory=dict)
    over: bool = False
    faults: Counter[str] = field(default_factory=Counter)
    stalls: set[asyncio.Task[None]] = field(default_factory=set)

    async def rage(self) -> None:
        """Whole rounds until it is over, every server is up and every worker awake again."""
        while not self.over:
            order = [name for name, (weight, _) in self.deck.items() for _ in range(weight)]
            self.dice.shuffle(order)
            for name in order:
                await self._lull()
                await self.deck[name][1]()
                self.faults[name] += 1
        await asyncio.gather(*self.stalls)

    def may_redo(self) -> int:
        """Steps: a killed or stalled worker costs the one it is at."""
        return self.faults["worker killed"] + self.faults["worker stalled"]

    async def _lull(self) -> None:
        """A moment in which work is done."""
        lines, begun = self.dice.randint(1, LULL_LINES), _written(self.journals)
        with suppress(TimeoutError):
            async with asyncio.timeout(LULL_SECONDS):
                while not self.over and _written(self.journals) < begun + lines * LINE:
                    await asyncio.sleep(LOOK_SECONDS * self.dice.random())

    async def kill_worker(self) -> None:
        self.crew.kill(self.dice.choice(self.crew.workers))

    async def kill_api(self) -> None:
        self.crew.kill(self.dice.choice(self.crew.apis))

    async def stall_worker(self) -> None:
        """It sleeps in the middle of an attempt until another has taken over, and then goes on as if nothing had been."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LULL_SECONDS):
                while (found := self._at_work()) is None:
                    await asyncio.sleep(LOOK_SECONDS / 10)
                process, journal, task = found
                process.send_signal(signal.SIGSTOP)
                stalling = asyncio.create_task(_wake(process, journal, task))
                self.stalls.add(stalling)
                stalling.add_done_callback(self.stalls.discard)

    def _at_work(self) -> tuple[Process, Path, str] | None:
        """A worker that has just begun a step, with the journal and the task."""
        workers = {process.pid: process for process in self.crew.workers}
        for entry in list(os.scandir(self.journals)):
            if time.time() - entry.stat().st_mtime < LOOK_SECONDS:
                journal = Path(entry)
                for task, pid in _last_starts(journal).items():
                    if pid in workers and _last_line(journal).startswith(f"step {task} "):
                        return workers[pid], journal, task
        return None


async def _wake(process: Process, journal: Path, task: str) -> None:
    """Once another has begun the task, or nobody does."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STALL_SECONDS):
            while _last_starts(journal)[task] == process.pid:
                await asyncio.sleep(LOOK_SECONDS / 2)
    process.send_signal(signal.SIGCONT)


def _last_starts(journal: Path) -> dict[str, int]:
    """Who has begun each task last."""
    lines = journal.read_text().splitlines()
    return {line.split()[1]: int(line.split()[-1]) for line in lines if line.startswith("start ")}


def _last_line(journal: Path) -> str:
    return journal.read_text().splitlines()[-1]


def _written(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder))


def cut(*proxies: Proxy) -> Fault:
    async def fault() -> None:
        for proxy in proxies:
            proxy.cut()

    return fault


def slow_down(dice: random.Random, *proxies: Proxy) -> Fault:
    """Each piece of data is late, then all is as before."""

    async def fault() -> None:
        for proxy in proxies:
            proxy.delay = dice.uniform(0.05, 0.4)
        await asyncio.sleep(dice.uniform(0.5, 2))
        for proxy in proxies:
            proxy.delay = 0.0

    return fault
