"""kill -9 at any moment: every job succeeds, no result is doubled, at most one chunk is done again per kill."""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobs.backends import Backends
from jobs.model import Job, State
from jobs.service import JobService
from tests.conftest import House

JOBS = int(os.environ.get("ESSAIM_TEST_CHAOS_JOBS", "200"))
SEED = int(os.environ.get("ESSAIM_TEST_CHAOS_SEED", "1"))
WORKERS = 3


@dataclass
class Storm:
    """Keeps `WORKERS` processes running and kills one after the other, at random moments from a seed."""

    house: House
    random: random.Random
    kills: int = 0
    alive: list[Any] = field(default_factory=list)

    async def rage(self) -> None:
        while True:
            self.alive = [worker for worker in self.alive if worker.poll() is None]
            while len(self.alive) < WORKERS:
                self.alive.append(self.house.start(ESSAIM_MAX_LOST_ATTEMPTS="1000"))
            await asyncio.sleep(self.random.uniform(0.4, 1.6))
            self.random.choice(self.alive).kill()
            self.kills += 1


@pytest.mark.chaos
async def test_every_job_survives_a_storm_of_kills(
    journal_house: House,
    journal_request: type[Any],
    eventually: Callable[..., Awaitable[Any]],
    record_property: Callable[[str, object], None],
) -> None:
    house, dice = journal_house, random.Random(SEED)
    storm = Storm(house, random.Random(SEED + 1))
    async with house.backends() as backends:
        service = JobService(backends, house.settings)
        submitted = [await _submit(service, house, journal_request, dice, number) for number in range(JOBS)]
        raging = asyncio.create_task(storm.rage())

        async def all_ended() -> bool:
            counts = (await backends.store.counts()).get("dev", {})
            return counts.get(State.QUEUED, 0) + counts.get(State.RUNNING, 0) == 0

        try:
            await eventually(all_ended, deadline=240)
        finally:
            raging.cancel()
        redone = [await _check(service, backends, job, tasks, steps) for job, tasks, steps in submitted]
    record_property("measured", f"{JOBS} jobs, {storm.kills} workers killed, {sum(redone)} steps done again")
    assert storm.kills > 5
    assert sum(redone) <= storm.kills


async def _submit(
    service: JobService, house: House, request: type[Any], dice: random.Random, number: int
) -> tuple[Job, int, int]:
    tasks, steps = dice.choice([1, 1, 1, 2, 5]), dice.randint(1, 12)
    journal = house.folder / f"journal-{number}"
    job, _ = await service.submit(
        request(journal=str(journal), tasks=tasks, steps=steps, step_seconds=dice.uniform(0, 0.02)), "storm"
    )
    return job, tasks, steps


async def _check(service: JobService, backends: Backends, job: Job, tasks: int, steps: int) -> int:
    """The result is what a quiet run gives; returns how many steps were done more than once."""
    ended = await service.get(job.id)
    assert ended.state is State.SUCCEEDED, ended
    expected = {"total": tasks * sum(range(steps)), "numbers": list(range(tasks))}
    assert json.loads(await service.result(ended)) == expected
    lines = Path(job.request["journal"]).read_text().splitlines()
    taken = Counter((line.split()[0], line.split()[2]) for line in lines)
    assert len(taken) == tasks * steps
    return len(lines) - tasks * steps
