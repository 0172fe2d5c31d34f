"""Samples queue, workers, replicas and processes once a second during a load test, all on one clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import psutil

from essaim.cli.client import Client
from essaim.errors import EssaimError
from essaim.planning.recording import Moment
from essaim.runs.footprint import Footprint
from loadtests.load.cluster import Counts

EVERY_SECONDS = 1.0
ROLES = {"essaim_api": "api", "essaim_worker": "worker", "essaim.cli": "supervisor"}
Replicas = Callable[[], Awaitable[Counts]]


class Sampler:
    """`looks`, `replicas` and `footprints` grow during `run`. `began`: the zero of all seconds, as a Unix time.

    `supervisor`: the local process whose children are the API and the workers, if any. `releases`: all that have answered; each
    look counts the workers of the one that did, since others may share the store. Known after the first look, like the
    `concurrency` of a worker.
    """

    def __init__(self, client: Client, replicas: Replicas | None, supervisor: int | None) -> None:
        self.began = time.time()
        self.looks: list[Moment] = []
        self.replicas: list[tuple[float, Counts]] = []
        self.footprints: list[Footprint] = []
        self.releases: list[str] = []
        self.concurrency = 1
        self._client = client
        self._ask_replicas = replicas
        self._supervisor = supervisor
        self._generator: int | None = None
        self._cpu: dict[int, tuple[float, float]] = {}

    @property
    def seconds(self) -> float:
        return time.time() - self.began

    def watch_generator(self, pid: int) -> None:
        self._generator = pid

    async def run(self) -> None:
        """Until it is cancelled. A server that is slow to answer makes its own looks rarer, and nothing else."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(self._look))
            group.create_task(self._again(self._weigh))
            if self._ask_replicas is not None:
                group.create_task(self._again(self._count))

    async def _again(self, look: Callable[[], Awaitable[None]]) -> None:
        """Each second, or as often as it can; what cannot be asked now is a gap."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            with suppress(EssaimError):
                await look()
            due = max(due + EVERY_SECONDS, clock())
            await asyncio.sleep(due - clock())

    async def _look(self) -> None:
        self.looks.append(await self.look())

    async def look(self) -> Moment:
        """What goes on now: in the middle of the time that asking takes. Raises as the client does."""
        before = self.seconds
        stats, found = await asyncio.gather(self._client.get("/v1/stats"), self._client.get("/v1/workers"))
        release = stats["release"]
        if release not in self.releases:
            self.releases.append(release)
        workers = [worker for worker in found["workers"] if worker["release"] == release]
        self.concurrency = max([self.concurrency, *(worker["concurrency"] for worker in workers)])
        return Moment(
            seconds=(before + self.seconds) / 2,
            ready=stats["queue"]["ready"],
            in_flight=stats["queue"]["in_flight"],
            workers=len(workers),
            busy=sum(bool(worker["tasks"]) for worker in workers),
        )

    async def _count(self) -> None:
        assert self._ask_replicas is not None
        self.replicas.append((self.seconds, await self._ask_replicas()))

    async def until_empty(self, seconds: float) -> bool:
        """Wait for a moment without messages and workers; False if none comes within so many seconds."""
        asked = self.seconds
        while self.seconds < asked + seconds:
            last = moments([look for look in self.looks[-1:] if look.seconds > asked], self.replicas[-1:])[-1:]
            if last and not (last[0].workers or last[0].ready or last[0].in_flight or last[0].replicas_ready):
                return True
            await asyncio.sleep(EVERY_SECONDS / 2)
        return False

    async def _weigh(self) -> None:
        now = self.seconds
        if self._generator is not None:
            self._footprint(now, self._generator, "generator")
        if self._supervisor is None:
            return
        try:
            children = psutil.Process(self._supervisor).children(recursive=True)
        except psutil.Error:
            return
        for pid in [self._supervisor, *(child.pid for child in children)]:
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


def moments(looks: Sequence[Moment], replicas: Sequence[tuple[float, Counts]]) -> list[Moment]:
    """One row for each look and each count of replicas; what was not asked in it is as it was last known."""
    found: list[Moment] = []
    last: Moment | None = None
    counts = Counts(None, None, None)
    known: list[tuple[float, Moment | Counts]] = [*((look.seconds, look) for look in looks), *replicas]
    for seconds, news in sorted(known, key=lambda it: it[0]):
        if isinstance(news, Moment):
            last = news
        else:
            counts = news
        if last is not None:
            found.append(replace(last, seconds=seconds, **counts._asdict()))
    return found


def _role(command: list[str]) -> str | None:
    """What `python -m NAME` runs."""
    modules = [after for flag, after in pairwise(command) if flag == "-m"]
    return ROLES.get(modules[0]) if modules else None
