"""The demo: one large search and a burst of small ones on real text, and a check of what happened."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from essaim.cli.client import Client, JsonObject
from essaim.cli.corpus import Corpus, read_corpus
from essaim.cli.jobs.commands import all_tasks
from essaim.cli.jobs.follow import follow
from essaim.cli.local.processes import Local
from essaim.cli.local.status import LocalStatus
from essaim.units import duration, plural, size

WORDS = ("self", "return", "yield", "lambda", "Guido", "parrot", "spam", "swarm")
TEXTS = 4
TEXT_BYTES = 26_000_000
TASKS = 48  # each sleeps; enough for many workers, few enough for a minute
PAUSE_SECONDS = 1.5  # over a second, so that a task saves a checkpoint while it sleeps
SMALL_JOBS = 24
LOOK_SECONDS = 0.1
LEASE_SECONDS = 4.0  # after this, a killed worker's task can be claimed again
LONGEST_SECONDS = 300.0

SMALL = {"text": "The swarm hums.\nA swarm of bees makes no sound; a bee does.", "words": ["swarm", "bee", "wasp"]}
SMALL_COUNTS = {"swarm": 2, "bee": 1, "wasp": 0}


@dataclass
class WorkerCounts:
    """The number of workers after each change. `empty` is set while there are none."""

    counts: list[int] = field(default_factory=list)
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def watch(self, status: LocalStatus) -> None:
        if not self.counts or self.counts[-1] != status.running:
            self.counts.append(status.running)
        (self.empty.clear if status.running else self.empty.set)()

    def __str__(self) -> str:
        return f"{self.counts[0]} → {max(self.counts)} → {self.counts[-1]}"


@dataclass(frozen=True)
class Killed:
    """The worker that the demo killed and the task it was running; `progress` (0 to 1) is that of its checkpoint."""

    worker: str
    pid: int
    task: int
    progress: float


@dataclass(frozen=True)
class DemoResult:
    """The ended jobs (the large one first) with results and tasks; all of it took `seconds`."""

    corpus: Corpus
    workers: WorkerCounts
    jobs: Sequence[JsonObject]
    tasks: Sequence[JsonObject]
    killed: Killed
    seconds: float

    @property
    def interrupted(self) -> JsonObject:
        """The task of the large job that the killed worker was running."""
        return self.tasks[self.killed.task]

    @property
    def expected(self) -> dict[str, int]:
        """The correct counts of the large search."""
        return {word: count * TEXTS for word, count in self.corpus.counts.items()}

    def counted(self, job: JsonObject) -> dict[str, int]:
        return dict(job["result"]["counts"]) if job["result"] else {}

    def faults(self) -> list[str]:
        """Everything that went wrong."""
        found = []
        for number, job in enumerate(self.jobs):
            must = SMALL_COUNTS if number else self.expected
            if job["state"] != "succeeded":
                found.append(f"job {job['id']} is {job['state']}: {job['problem']}")
            elif self.counted(job) != must:
                found.append(f"job {job['id']} counted {self.counted(job)}, a plain regular expression {must}")
        if self.interrupted["state"] != "succeeded" or self.interrupted["attempts"] < 2:
            found.append(f"task {self.killed.task} of the killed worker was not resumed: {self.interrupted}")
        counts = self.workers.counts
        if counts[0] or counts[-1] or max(counts) < 2:
            found.append(f"the workers did not scale up and down: {self.workers}")
        return found

    def sentences(self) -> list[str]:
        """A summary of what happened."""
        work, texts = sum(_seconds(task) for task in self.tasks), plural(TEXTS, "text")
        return [
            f"{size(self.corpus.size * TEXTS)} in {texts} went over HTTP.",
            f"{plural(len(self.jobs), 'job')} became {plural(len(self.tasks), 'task')}, in all {duration(work)} of work.",
            f"{TASKS} of them slept {PAUSE_SECONDS} s each, to stand for heavier work than this machine could do.",
            f"It took {duration(self.seconds)}: {work / self.seconds:.1f} times faster than one worker.",
            f"Workers: {self.workers}. Only the length of the queue started and stopped them.",
            f"Worker {self.killed.worker} was killed (kill -9 {self.killed.pid}) while it ran task {self.killed.task}.",
            f"Its lease of {LEASE_SECONDS:.0f} s ran out. {self._resumed()} Nothing was lost.",
        ]

    def _resumed(self) -> str:
        worker = self.interrupted["worker"]
        process = f"{worker}, started again," if worker == self.killed.worker else worker
        return f"{process} resumed that task from its checkpoint, at {self.killed.progress:.0%}."


async def run_demo(local: Local, client: Client, workers: WorkerCounts) -> DemoResult:
    """Upload, submit, wait for every result, and for the last worker to stop. Shows each step in `local.hint`.

    Raises TimeoutError after five minutes.
    """
    async with asyncio.timeout(LONGEST_SECONDS):
        local.hint = f"1/4  reading Python's own sources: {plural(TEXTS, 'text')} of {size(TEXT_BYTES)}"
        corpus = await asyncio.to_thread(read_corpus, WORDS, TEXT_BYTES)
        local.hint = "2/4  sending them over HTTP"
        names = [f"demo/{number}.txt" for number in range(TEXTS)]
        await asyncio.gather(*(client.put_text(name, corpus.chunks(), corpus.size) for name in names))
        local.hint = f"3/4  one search in {TASKS} tasks of {PAUSE_SECONDS} s each, and {SMALL_JOBS} small ones on top"
        begun = time.monotonic()
        jobs = [await client.submit(request) for request in [_big(corpus), *[SMALL] * SMALL_JOBS]]
        killed = await _kill_a_worker(local, client, jobs[0]["id"])
        local.hint = f"3/4  kill -9 {killed.pid}: worker {killed.worker} is gone; task {killed.task} will resume"
        ended = [await _end(client, job["id"]) for job in jobs]
        seconds = time.monotonic() - begun
        local.hint = "4/4  nothing left to do: the workers stop after the cooldown"
        tasks = [task for job in jobs for task in await all_tasks(client, job["id"])]
        await workers.empty.wait()
    return DemoResult(corpus, workers, ended, tasks, killed, seconds)


async def _kill_a_worker(local: Local, client: Client, job_id: str) -> Killed:
    """Kill a worker while it runs a task of this job, after its first checkpoint, while others run too."""
    while True:
        pids = {it.id: it.pid for it in (await local.status()).workers}
        running = [task for task in await all_tasks(client, job_id) if task["state"] == "running"]
        for task in filter(_resumable, running) if len(running) > 1 else ():
            if pid := pids.get(task["worker"]):
                os.kill(pid, signal.SIGKILL)
                left = (await all_tasks(client, job_id))[task["number"]]
                if _resumable(left):
                    return Killed(task["worker"], pid, task["number"], left["progress"])
                break  # it had just finished: kill another
        await asyncio.sleep(LOOK_SECONDS)


def _resumable(task: JsonObject) -> bool:
    """Whether it has a checkpoint and has not ended."""
    return bool(task["state"] == "running" and task["progress"] > 0)


def _big(corpus: Corpus) -> JsonObject:
    piece = -(-corpus.size * TEXTS // TASKS)
    return {"texts": ["demo/*"], "words": list(WORDS), "piece_bytes": piece, "pause_seconds": PAUSE_SECONDS}


async def _end(client: Client, job_id: str) -> JsonObject:
    async for _ in follow(client, job_id):
        pass
    ended: JsonObject = await client.get(f"/v1/jobs/{job_id}")
    return ended


def _seconds(task: JsonObject) -> float:
    if not task["started"] or not task["ended"]:
        return 0.0
    return (datetime.fromisoformat(task["ended"]) - datetime.fromisoformat(task["started"])).total_seconds()
