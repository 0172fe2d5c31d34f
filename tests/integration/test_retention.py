"""What has ended is kept for a time, and then nothing of it is left."""

import json

import pytest
from cloudevents.core.v1.event import CloudEvent

from essaim.errors import JobNotFoundError, TextNotFoundError
from essaim.jobs.model import Job, State
from essaim.jobs.service import JobService
from essaim_words.payload import Request
from tests.conftest import BuildHouse, eventually

NOBODYS = {"id": "1", "type": "of.nobody", "source": "/tests", "datacontenttype": "application/json"}
REQUEST = Request(text="a swarm of bees", words=["swarm"])


async def test_jobs_results_and_parked_messages_go_after_their_time(build_house: BuildHouse) -> None:
    house = build_house(None, retention_seconds=0.001, inline_result_bytes=0)  # every result is a large one
    async with house.backends() as backends:
        service = JobService(backends, house.settings)
        house.start()
        job, _ = await service.submit(REQUEST, "ada")
        ended = await eventually(lambda: _succeeded(service, job))
        assert json.loads(await service.result(ended))["counts"] == {"swarm": 1}

        await backends.queue.publish([CloudEvent(NOBODYS, {})])
        await eventually(backends.queue.dead_letters)
        assert await eventually(service.purge) == 1

        await eventually(lambda: _no_dead_letters(service))  # it may be too young for the first purge
        with pytest.raises(JobNotFoundError):
            await service.get(job.id)
        with pytest.raises(TextNotFoundError):
            await service.result(ended)


async def _no_dead_letters(service: JobService) -> bool:
    await service.purge()
    return not await service.backends.queue.dead_letters()


async def _succeeded(service: JobService, job: Job) -> Job | None:
    now = await service.get(job.id)
    return now if now.state is State.SUCCEEDED else None
