"""Kill -9 and worse, at any moment, to everything that runs: no job is lost, none is doubled, every result is right."""

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.chaos.checker import Checker
from tests.chaos.storm import APIS, WORKERS, Crew, Fault, Storm, cut, slow_down
from tests.chaos.submissions import MAX_ATTEMPTS, Client, Submission, submissions
from tests.conftest import ROOT, House
from tests.proxy import Proxy

JOBS = int(os.environ.get("ESSAIM_TEST_CHAOS_JOBS", "100"))
SEED = int(os.environ.get("ESSAIM_TEST_CHAOS_SEED", "1"))
CLIENTS = 8
STALL_SECONDS = 7.0  # longer than the lease, and than the queue waits for a silent consumer
DEADLINE = 60 + 2.0 * JOBS  # against hanging

Eventually = Callable[..., Awaitable[Any]]


@pytest.mark.chaos
async def test_every_job_survives_a_storm_on_sqlite(
    build_house: Callable[..., House], eventually: Eventually, record_property: Callable[[str, object], None]
) -> None:
    house = build_house(ROOT / "tests" / "houses" / "storm", **SETTINGS)
    await survive(house, {}, eventually, record_property)


SETTINGS = {
    "max_attempts": MAX_ATTEMPTS,
    "max_lost_attempts": 1000,
    "inline_result_bytes": 2000,
    "max_retry_seconds": 1,
}


async def survive(
    house: House,
    faults: dict[str, tuple[int, Fault]],
    eventually: Eventually,
    record_property: Callable[[str, object], None],
) -> None:
    journals = house.folder / "journals"
    journals.mkdir()
    wanted = list(submissions(JOBS, journals, SEED))
    dice = random.Random(SEED + 1)
    ports = [free_port() for _ in range(APIS)]
    crew = Crew(house, ports)
    async with proxied(ports) as proxies, asyncio.timeout(DEADLINE):
        storm = Storm(crew, dice, {})
        storm.deck = {
            "worker killed": (6, storm.kill_worker),
            "worker stalled": (1, storm.stall_worker(STALL_SECONDS)),
            "API killed": (2, storm.kill_api),
            "HTTP cut": (2, cut(*proxies)),
            "HTTP slow": (1, slow_down(dice, *proxies)),
            **faults,
        }
        client = Client([f"http://127.0.0.1:{proxy.port}" for proxy in proxies])
        keeping = asyncio.create_task(crew.keep())
        raging = asyncio.create_task(storm.rage())
        try:
            await client.submit_all(wanted, CLIENTS)
            await eventually(lambda: all_ended(client), deadline=DEADLINE)
            raging.cancel()
            await asyncio.gather(*storm.stalls)
            await eventually(lambda: queue_is_empty(client), deadline=60)
            checker = Checker(client)
            await checker.check(wanted)
        finally:
            for task in (raging, keeping):
                task.cancel()
            await client.close()
    for line in table(storm, checker, wanted):
        record_property("measured", line)
    assert not crew.left
    for task in (raging, keeping):
        assert task.cancelled() or task.exception() is None
    assert checker.redone <= storm.may_redo()


@asynccontextmanager
async def proxied(ports: list[int]) -> AsyncIterator[list[Proxy]]:
    async with AsyncExitStack() as stack:
        proxies = [Proxy("127.0.0.1", port) for port in ports]
        for proxy in proxies:
            await stack.enter_async_context(proxy.serve())
        yield proxies


async def all_ended(client: Client) -> bool:
    await asyncio.sleep(0.5)
    counts = (await client.ask("GET", "/v1/stats")).json()["jobs"].get("dev", {})
    return counts.get("queued", 0) + counts.get("running", 0) == 0


async def queue_is_empty(client: Client) -> bool:
    return (await client.ask("GET", "/v1/stats")).json()["queue"] == {"ready": 0, "in_flight": 0}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def table(storm: Storm, checker: Checker, wanted: list[Submission]) -> list[str]:
    unanswered = sum(one.unanswered for one in wanted)
    return [
        f"{JOBS} jobs, seed {SEED}, {WORKERS} workers, {APIS} APIs: "
        + ", ".join(f"{count} {state}" for state, count in sorted(checker.states.items())),
        *(f"  {count:5} x {name}" for name, count in sorted(storm.faults.items())),
        f"  {unanswered} submissions not answered and sent again, {checker.twins} jobs of such without a key",
        f"  {checker.attempts} attempts, {checker.redone} steps done again, {storm.may_redo()} allowed",
    ]
