"""A file that version 1 left behind is worked on by the software of today."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from essaim.jobs.model import State
from essaim.jobs.service import JobService
from tests.conftest import BuildHouse, House, eventually

YESTERDAY = (Path(__file__).parents[1] / "fixtures" / "sqlite_1.sql").read_text()


def job(number: int) -> str:
    return f"0195{number:04}-0000-7000-8000-{number:012}"


@pytest.fixture
def house(build_house: BuildHouse) -> House:
    """With the file in it."""
    house = build_house(None, release="v1")
    house.settings.data_dir.mkdir()
    with closing(sqlite3.connect(house.settings.data_dir / "essaim.db")) as connection:
        connection.executescript(YESTERDAY)
    return house


async def test_jobs_and_messages_of_version_1_are_finished(house: House) -> None:
    async with house.backends() as backends:
        service = JobService(backends, house.settings)
        assert await service.replay() == 1
        house.start()

        async def all_succeeded() -> bool:
            return (await backends.store.counts())["v1"].get(State.SUCCEEDED) == 4

        await eventually(all_succeeded)
        results = [json.loads(await service.result(await service.get(job(number)))) for number in range(1, 5)]
    assert [result["counts"] for result in results] == [{"swarm": 2}, {"swarm": 2}, {"bees": 1}, {"swarm": 2}]
