"""What the demo plays: a big search and a burst of small ones, on real text, and what can be said of it afterwards."""

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
from essaim.cli.local.status import Scene
from essaim.units import duration, plural, size

WORDS = ("self", "return", "yield", "lambda", "Guido", "parrot", "spam", "swarm")
TEXTS = 4
TEXT_BYTES = 26_000_000
TASKS = 48  # each sleeps: enough for the workers to become many, and for the whole to fit into a minute
PAUSE_SECONDS = 1.5  # over a second, so that a task saves a checkpoint while it sleeps
SMALL_JOBS = 24
LOOK_SECONDS = 0.1
LEASE_SECONDS = 4.0  # a killed worker's task is free again after that
LONGEST_SECONDS = 300.0

SMALL = {"text": "The swarm hums.\nA swarm of bees makes no sound; a bee does.", "words": ["swarm", "bee", "wasp"]}
SMALL_COUNTS = {"swarm": 2, "bee": 1, "wasp": 0}


@dataclass
class Course:
    """How many workers there were, change by change. `empty` is set while there is none."""

    counts: list[int] = field(default_factory=list)
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def watch(self, scene: Scene) -> None:
        if not self.counts or self.counts[-1] != scene.running:
            self.counts.append(scene.running)
        (self.empty.clear if scene.running else self.empty.set)()

    def __str__(self) -> str:
        return f"{self.counts[0]} → {max(self.counts)} → {self.counts[-1]}"


@dataclass(frozen=True)
class Killed:
    """A worker that the demo has killed, and the task that it was running; `progress` (0 to 1) is at its checkpoint."""

    worker: str
    pid: int
    task: int
    progress: float


@dataclass(frozen=True)
class Outcome:
    """The ended jobs (the big one first) with their results and all their tasks, in `seconds`; and who was killed."""

    corpus: Corpus
    course: Course
    jobs: Sequence[JsonObject]
    tasks: Sequence[JsonObject]
    killed: Killed
    seconds: float

    @property
    def interrupted(self) -> JsonObject:
        """The task of the big job that the killed worker was running."""
        return self.tasks[self.killed.task]

    @property
    def expected(self) -> dict[str, int]:
        """The big search's counts, as they must be."""
        return {word: count * TEXTS for word, count in self.corpus.counts.items()}

    def counted(self, job: JsonObject) -> dict[str, int]:
        return dict(job["result"]["counts"]) if job["result"] else {}

    def faults(self) -> list[str]:
        """What is not as it must be."""
        found = []
        for number, job in enumerate(self.jobs):
            must = SMALL_COUNTS if number else self.expected
            if job["state"] != "succeeded":
                found.append(f"job {job['id']} is {job['state']}: {job['problem']}")
            elif self.counted(job) != must:
                found.append(f"job {job['id']} counted {self.counted(job)}, a plain regular expression {must}")
        if self.interrupted["state"] != "succeeded" or self.interrupted["attempts"] < 2:
            found.append(f"task {self.killed.task} of the killed worker was not resumed: {self.interrupted}")
        counts = self.course.counts
        if counts[0] or counts[-1] or max(counts) < 2:
            found.append(f"the workers did not come and go: {self.course}")
        return found

    def sentences(self) -> list[str]:
        """What has just happened."""
        work, texts = sum(_seconds(task) for task in self.tasks), plural(TEXTS, "text")
        return [
            f"{size(self.corpus.size * TEXTS)} in {texts} went over HTTP.",
            f"{plural(len(self.jobs), 'job')} became {plural(len(self.tasks), 'task')}, in all {duration(work)} of work.",
            f"{TASKS} of them slept {PAUSE_SECONDS} s each, to stand for heavier work than this machine could do.",
            f"It was done after {duration(self.seconds)}: {work / self.seconds:.1f} times faster than one worker.",
            f"Workers: {self.course}. Nobody but the queue's length started or stopped them.",
            f"Worker {self.killed.worker} was killed (kill -9 {self.killed.pid}) while it ran task {self.killed.task}.",
            f"Its lease of {LEASE_SECONDS:.0f} s ran out. {self._resumed()} Nothing was lost.",
        ]

    def _resumed(self) -> str:
        worker = self.interrupted["worker"]
        process = f"{worker}, started again," if worker == self.killed.worker else worker
        return f"{process} resumed that task from its checkpoint, at {self.killed.progress:.0%}."


async def play(local: Local, client: Client, course: Course) -> Outcome:
    """Upload, submit, wait for every result, and for the last worker to leave. Says each step in `local.hint`.

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
        local.hint = "4/4  nothing left to do: after the cooldown the workers leave"
        tasks = [task for job in jobs for task in await all_tasks(client, job["id"])]
        await course.empty.wait()
    return Outcome(corpus, course, ended, tasks, killed, seconds)


async def _kill_a_worker(local: Local, client: Client, job_id: str) -> Killed:
    """Kill a worker that runs a task of this job beside others, after a checkpoint and before the task's end."""
    while True:
        pids = {it.id: it.pid for it in (await local.scene()).workers}
        running = [task for task in await all_tasks(client, job_id) if task["state"] == "running"]
        for task in filter(_resumable, running) if len(running) > 1 else ():
            if pid := pids.get(task["worker"]):
                os.kill(pid, signal.SIGKILL)
                left = (await all_tasks(client, job_id))[task["number"]]
                if _resumable(left):
                    return Killed(task["worker"], pid, task["number"], left["progress"])
                break  # it had finished a moment before: kill another
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
