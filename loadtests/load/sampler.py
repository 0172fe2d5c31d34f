"""Looks at the house once a second while the load goes on, all on one clock: queue, workers, replicas, processes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise

import psutil

from cli.client import Client
from jobs.errors import EssaimError
from scaling.footprint import Footprint
from scaling.recording import Moment

EVERY_SECONDS = 1.0
ROLES = {"api": "api", "worker": "worker", "cli": "supervisor"}
Replicas = Callable[[], Awaitable[dict[str, int | None]]]


class Sampler:
    """`moments` and `footprints` grow while `run` does. `began`: what all seconds are counted from, since 1970.

    `house`: the process whose children are the API and the workers, where they are on this machine. `release`: whose
    workers are counted, since others may share the store; known after the first look, as `concurrency` of one worker.
    """

    def __init__(self, client: Client, replicas: Replicas | None, house: int | None) -> None:
        self.began = time.time()
        self.moments: list[Moment] = []
        self.footprints: list[Footprint] = []
        self.release = ""
        self.concurrency = 1
        self._client = client
        self._replicas = replicas
        self._house = house
        self._generator: int | None = None
        self._cpu: dict[int, tuple[float, float]] = {}

    @property
    def seconds(self) -> float:
        return time.time() - self.began

    def watch_generator(self, pid: int) -> None:
        self._generator = pid

    async def run(self) -> None:
        """Until it is cancelled. A look that fails is a gap, and one that takes long makes the next ones later."""
        due = asyncio.get_running_loop().time()
        while True:
            with suppress(EssaimError):
                self.moments.append(await self.look())
            self._weigh()
            due = max(due + EVERY_SECONDS, asyncio.get_running_loop().time())
            await asyncio.sleep(due - asyncio.get_running_loop().time())

    async def look(self) -> Moment:
        """What goes on now: in the middle of the time that asking takes. Raises as client and cluster do."""
        before = self.seconds
        stats, found = await asyncio.gather(self._client.get("/v1/stats"), self._client.get("/v1/workers"))
        replicas = await self._replicas() if self._replicas else {}
        self.release = stats["release"]
        workers = [worker for worker in found["workers"] if worker["release"] == self.release]
        self.concurrency = max([self.concurrency, *(worker["concurrency"] for worker in workers)])
        return Moment(
            seconds=(before + self.seconds) / 2,
            ready=stats["queue"]["ready"],
            in_flight=stats["queue"]["in_flight"],
            workers=len(workers),
            busy=sum(bool(worker["tasks"]) for worker in workers),
            **replicas,
        )

    async def until_empty(self, seconds: float) -> bool:
        """Wait for a moment without messages and workers; False if none comes within so many seconds."""
        deadline = self.seconds + seconds
        while self.seconds < deadline:
            last = self.moments[-1]
            if not (last.workers or last.ready or last.in_flight or last.replicas_ready):
                return True
            await asyncio.sleep(EVERY_SECONDS / 2)
        return False

    def _weigh(self) -> None:
        now = self.seconds
        if self._generator is not None:
            self._footprint(now, self._generator, "generator")
        if self._house is None:
            return
        try:
            children = psutil.Process(self._house).children(recursive=True)
        except psutil.Error:
            return
        for pid in [self._house, *(child.pid for child in children)]:
            self._footprint(now, pid, None)

    def _footprint(self, now: float, pid: int, role: str | None) -> None:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                role = role or _role(process.cmdline())
                memory, times = process.memory_info().rss, process.cpu_times()
        except psutil.Error:  # it has just left
            return
        if role is None or not memory:  # nothing of ours, or ended and not yet missed
            return
        used = times.user + times.system
        since, before = self._cpu.get(pid, (now, used))
        self._cpu[pid] = now, used
        cpu = (used - before) / (now - since) if now > since else 0.0
        self.footprints.append(Footprint(now, role, pid, memory, cpu))


def _role(command: list[str]) -> str | None:
    """What `python -m NAME` runs."""
    modules = [after for flag, after in pairwise(command) if flag == "-m"]
    return ROLES.get(modules[0]) if modules else None
