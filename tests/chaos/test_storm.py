"""Kill -9 and worse, at any moment, to everything that runs: no job is lost, none is doubled, every result is right."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.checker import Checker
from tests.chaos.servers import Server, broker, database
from tests.chaos.storm import APIS, WORKERS, Crew, Deck, Storm, cut, slow_down
from tests.chaos.submissions import MAX_ATTEMPTS, Client, submissions
from tests.conftest import BuildHouse, House, eventually
from tests.ports import free_port
from tests.proxy import Proxy

JOBS = os.environ.get("ESSAIM_TEST_CHAOS_JOBS")
SEED = int(os.environ.get("ESSAIM_TEST_CHAOS_SEED", "1"))
CLIENTS = 8
SETTINGS = {
    "max_attempts": MAX_ATTEMPTS,
    "max_lost_attempts": 1000,
    "max_retry_seconds": 1,
    "inline_result_bytes": 2000,
}

Survive = Callable[[House, int, Deck], Awaitable[None]]


@pytest.mark.chaos
async def test_every_job_survives_a_storm_on_sqlite(build_house: BuildHouse, survive: Survive) -> None:
    await survive(build_house("storm", **SETTINGS), int(JOBS or 60), {})


@pytest.mark.chaos
async def test_every_job_survives_a_storm_on_rabbitmq_and_sqlite(
    build_house: BuildHouse, survive: Survive, tmp_path: Path
) -> None:
    async with broker(tmp_path) as rabbitmq, proxied([rabbitmq.port]) as (way,):
        house = build_house("storm", **SETTINGS, queue_url=queue(way))
        await survive(house, int(JOBS or 20), faults("broker", rabbitmq, way))


@pytest.mark.chaos
async def test_every_job_survives_a_storm_on_rabbitmq_and_mongodb(
    build_house: BuildHouse, survive: Survive, tmp_path: Path
) -> None:
    async with (
        broker(tmp_path) as rabbitmq,
        database(tmp_path) as mongodb,
        proxied([rabbitmq.port, mongodb.port]) as (way, other_way),
    ):
        store = f"mongodb://127.0.0.1:{other_way.port}/storm?serverSelectionTimeoutMS=2000"
        house = build_house("storm", **SETTINGS, queue_url=queue(way), store_url=store)
        both = {**faults("broker", rabbitmq, way), **faults("database", mongodb, other_way)}
        await survive(house, int(JOBS or 30), both)


def queue(way: Proxy) -> str:
    return f"amqp://guest:guest@127.0.0.1:{way.port}/?heartbeat=2"


def faults(name: str, server: Server, way: Proxy) -> Deck:
    """What may befall a server and the way there."""
    return {
        f"{name} killed": (1, server.crash),
        f"{name} restarted": (1, server.restart),
        f"{name} cut": (3, cut(way)),
        f"{name} slow": (1, slow_down(random.Random(f"{SEED} {name}"), way)),
    }


@pytest.fixture
def survive(record_property: Callable[[str, object], None]) -> Survive:
    """Let a storm rage over a house while jobs are submitted, until all have ended, and check them."""

    async def run(house: House, jobs: int, more: Deck) -> None:
        storm, checker = await _rage(house, jobs, more)
        for line in table(storm, checker):
            record_property("measured", line)
        assert not storm.crew.left
        assert all(storm.faults[name] for name in storm.deck)
        assert checker.redone <= storm.may_redo()

    return run


async def _rage(house: House, jobs: int, more: Deck) -> tuple[Storm, Checker]:
    journals = house.folder / "journals"
    journals.mkdir()
    deadline = 300 + 5.0 * jobs  # against hanging
    ports = [free_port() for _ in range(APIS)]
    async with proxied(ports) as proxies, asyncio.timeout(deadline), asyncio.TaskGroup() as beside:
        storm = Storm(Crew(house, ports), journals, random.Random(SEED + 1))
        storm.deck = {
            "worker killed": (8, storm.kill_worker),
            "worker stalled": (2, storm.stall_worker),
            "API killed": (3, storm.kill_api),
            "HTTP cut": (2, cut(*proxies)),
            "HTTP slow": (1, slow_down(storm.dice, *proxies)),
            **more,
        }
        keeping = beside.create_task(storm.crew.keep())
        raging = beside.create_task(storm.rage())
        async with Client([f"http://127.0.0.1:{proxy.port}" for proxy in proxies]) as client:
            wanted = list(submissions(jobs, journals, SEED))
            await client.submit_all(wanted, CLIENTS)
            await eventually(lambda: is_done(client), deadline=deadline)
            storm.over = True
            await raging
            await eventually(lambda: is_done(client), deadline=deadline)  # what the last faults have left
            checker = Checker(client)
            await checker.check(wanted)
        keeping.cancel()
    return storm, checker


@asynccontextmanager
async def proxied(ports: list[int]) -> AsyncIterator[list[Proxy]]:
    async with AsyncExitStack() as stack:
        proxies = [Proxy("127.0.0.1", port) for port in ports]
        for proxy in proxies:
            await stack.enter_async_context(proxy.serve())
        yield proxies


async def is_done(client: Client) -> bool:
    await asyncio.sleep(0.5)
    stats = (await client.ask("GET", "/v1/stats")).json()
    jobs = stats["jobs"].get("dev", {})
    return stats["queue"] == {"ready": 0, "in_flight": 0} and jobs.get("queued", 0) + jobs.get("running", 0) == 0


def table(storm: Storm, checker: Checker) -> list[str]:
    return [
        f"{sum(checker.states.values())} jobs, seed {SEED}, {WORKERS} workers, {APIS} APIs: "
        + ", ".join(f"{count} {state}" for state, count in sorted(checker.states.items())),
        *(f"  {count:5} x {name}" for name, count in sorted(storm.faults.items())),
        f"  {checker.unanswered} submissions not answered and sent again, {checker.twins} jobs of such without a key",
        f"  {checker.attempts} attempts, {checker.redone} steps done again, {storm.may_redo()} allowed",
    ]
