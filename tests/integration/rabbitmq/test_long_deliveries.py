"""Tasks that last longer than the broker lets a consumer hold a delivery: what it takes back goes on, counts, and is adopted.

RabbitMQ looks for such deliveries once in its `channel_tick_interval`, a minute by default.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel
from yarl import URL

from essaim.errors import UnavailableError
from essaim.jobs.adapters.rabbitmq.queue import RabbitQueue
from essaim.jobs.backends import Backends
from essaim.jobs.model import Depth, Job, State
from essaim.jobs.service import JobService
from tests.chaos.servers import broker
from tests.conftest import BuildHouse, eventually
from tests.contract.deliveries import next_of
from tests.integration.rabbitmq.conftest import event
from tests.servers import RABBITMQ_MANAGEMENT_URL, RABBITMQ_URL, absent, delete_queues

TIMEOUT_SECONDS = 5
TASK_SECONDS = 15.0
BrokerOf = Callable[[Path, str], Any]


@asynccontextmanager
async def oldest(folder: Path, release: str) -> AsyncIterator[str]:
    """RabbitMQ of our own, by default the 3.10 of Debian: it knows the timeout of its configuration alone."""
    settings = f"{{consumer_timeout, {TIMEOUT_SECONDS * 1000}}}, {{channel_tick_interval, 1000}}"
    async with broker(folder, advanced=f"[{{rabbit, [{settings}]}}].") as server:
        yield f"amqp://guest:guest@127.0.0.1:{server.port}/"


@asynccontextmanager
async def current(folder: Path, release: str) -> AsyncIterator[str]:
    """RabbitMQ 4: a policy is the stricter of what limits a queue, whatever our queue asks for."""
    url = URL(RABBITMQ_URL)
    policy = f"{RABBITMQ_MANAGEMENT_URL}/api/policies/{'%2F'}/{release}"
    definition = {"consumer-timeout": TIMEOUT_SECONDS * 1000}
    wanted = {"pattern": f"^jobs\\.{release}$", "definition": definition, "apply-to": "queues"}
    async with httpx.AsyncClient(auth=(url.user or "guest", url.password or "guest")) as management:
        try:
            (await management.put(policy, json=wanted)).raise_for_status()
        except httpx.HTTPError as error:
            absent(str(error))
        try:
            yield RABBITMQ_URL
        finally:
            await management.delete(policy)
            await delete_queues(RABBITMQ_URL, release)


BROKERS = pytest.mark.parametrize("broker_of", [oldest, current])


@BROKERS
async def test_what_the_broker_takes_back_runs_once_counts_and_is_adopted(
    broker_of: BrokerOf,
    tmp_path: Path,
    build_house: BuildHouse,
    journal_request: type[Any],
) -> None:
    release = f"test-{uuid4().hex[:12]}"
    async with broker_of(tmp_path, release) as url:
        house = build_house("journal", queue_url=url, release=release, concurrency=2, lease_seconds=15)
        async with house.backends() as backends:
            service = JobService(backends, house.settings)
            house.start()
            jobs = [await submit(service, journal_request, tmp_path / f"journal-{number}") for number in range(3)]
            await eventually(lambda: at(backends, Depth(ready=1, in_flight=2)))
            states, depths, reported = await watched(backends, jobs)
            house.kill_all()
        log = house.logs()
    if broker_of is current and "queue.consumer_lost" not in log:
        absent("RabbitMQ took nothing back: its `channel_tick_interval` is longer than the tasks")
    assert "queue.consumer_lost" in log, log  # the broker did take them back
    assert log.count("task.claimed") == 3, log
    assert "delivery.adopted" in log, log
    assert ("queue.timeout_ignored" in log) == (broker_of is oldest)
    assert max(states) == 2, log
    assert all(depth >= running for depth, running in zip(depths, states, strict=True)), (states, depths)
    first = reported.index(2)
    last = len(states) - 1 - states[::-1].index(2)
    assert set(reported[first:last]) == {2}  # what scale-in looks at: who works is not taken away


async def submit(service: JobService, request: type[Any], journal: Path) -> Job:
    wanted = request(journal=str(journal), steps=int(TASK_SECONDS / 0.5), step_seconds=0.5)
    return (await service.submit(wanted, "tester"))[0]


async def at(backends: Backends, depth: Depth) -> bool:
    return await backends.queue.depth() == depth


async def watched(backends: Backends, jobs: list[Job]) -> tuple[list[int], list[int], list[int]]:
    """How many jobs ran, how many deliveries were in flight by the queue, and how many tasks the worker reported, look by
    look, until all have succeeded.

    The depth is looked at between two looks at the jobs. A job counts as running if it ran at both and at the look before,
    since other processes see a delivery as in flight a little late.
    """
    running, depths, reported = [], [], []
    earlier = [job.state for job in jobs]
    while True:
        before = [(await backends.store.get(job.id)).state for job in jobs]
        if all(state is State.SUCCEEDED for state in before):
            return running, depths, reported
        depth = (await backends.queue.depth()).in_flight
        after = [(await backends.store.get(job.id)).state for job in jobs]
        assert not {State.FAILED, State.CANCELLED} & {*before, *after}
        running.append(sum({*looks} == {State.RUNNING} for looks in zip(earlier, before, after, strict=True)))
        earlier = after
        depths.append(depth)
        reported.append(sum(len(worker.tasks) for worker in await backends.store.workers()))
        await asyncio.sleep(0.3)


async def test_a_queue_of_ours_asks_the_broker_for_a_longer_timeout(release: str, queue: RabbitQueue) -> None:
    async with httpx.AsyncClient(auth=("guest", "guest")) as management:
        declared = (await management.get(f"{RABBITMQ_MANAGEMENT_URL}/api/queues/%2F/jobs.{release}")).json()
    assert declared["arguments"]["x-consumer-timeout"] == 30 * 24 * 3600 * 1000


async def test_what_a_cancelled_consumer_held_is_adopted_when_it_comes_again(release: str, queue: RabbitQueue) -> None:
    """As RabbitMQ 4.3 and later do it: the consumer is cancelled and the channel stays."""
    await queue.publish([event("one")])
    async with queue.deliveries(1) as deliveries:
        iterator = aiter(deliveries)
        held = await anext(iterator)
        async with await aio_pika.connect(RABBITMQ_URL) as connection, connection.channel() as channel:
            session = held.session
            session.lost.set()  # what the driver's callback does
            await channel.default_exchange.publish(_again(held), f"jobs.{release}")
            async with asyncio.timeout(60):
                while held.session is session:
                    await asyncio.sleep(0.05)
        assert (await queue.depth()).in_flight == 1
        await held.ack()
        async with asyncio.timeout(60):
            first = await anext(iterator)  # this broker did not take it back: its channel has closed
        assert first.event.get_id() == "one"
        await first.ack()
    assert await queue.depth() == Depth(ready=0, in_flight=0)


async def test_nothing_more_is_handed_out_while_work_goes_on_that_was_taken_back(queue: RabbitQueue) -> None:
    await queue.publish([event("one")])
    async with queue.deliveries(1) as deliveries:
        iterator = aiter(deliveries)
        held = await anext(iterator)
        await queue.publish([event("two")])
        held.session.unsettled.clear()
        held.session.lost.set()
        other = asyncio.ensure_future(anext(iterator))
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.shield(other)
        assert not other.done()
        assert (await queue.depth()).in_flight == 1
        with suppress(Exception):
            await held.ack()
        async with asyncio.timeout(60):
            await (await other).ack()


@pytest.mark.parametrize("settle", [lambda held: held.park("no more"), lambda held: held.retry(60)])
async def test_no_copy_is_made_of_what_was_taken_back_and_comes_again_anyway(
    settle: Callable[[Any], Awaitable[None]], queue: RabbitQueue, channel: AbstractChannel, release: str
) -> None:
    await queue.publish([event("one")])
    async with queue.deliveries(1) as deliveries:
        held = await next_of(deliveries)
        await held.session._channel.close()
        assert held.astray
        with pytest.raises(UnavailableError):
            await settle(held)
        for suffix in (".dead", ".wait.64s"):
            copies = await channel.declare_queue(f"jobs.{release}{suffix}", passive=True)
            assert copies.declaration_result.message_count == 0
        await (await next_of(deliveries)).ack()


def _again(held: Any) -> aio_pika.Message:
    properties = held._message.header.properties
    return aio_pika.Message(
        held._message.body,
        content_type=properties.content_type,
        headers=dict(properties.headers or {}),
        message_id=properties.message_id,
    )
