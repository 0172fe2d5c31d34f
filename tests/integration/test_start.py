"""Processes that start before what they need: they wait, say so, and end in one line when it is in vain."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import httpx
import pytest
from pymongo import AsyncMongoClient

from tests.conftest import BuildHouse, House, eventually
from tests.servers import MONGODB_URL, RABBITMQ_URL, absent, delete_queues, mongodb_silent

Build = BuildHouse
REQUEST = {"text": "a b a", "words": ["a"]}
SECRET = "s3cret"


class LateServer:
    """An address at which nothing answers, until it is `opened`: then it leads to the real server."""

    def __init__(self, url: str) -> None:
        self._real = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    async def bind(self) -> None:
        async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        login = self._real.netloc.rpartition("@")
        return self._real._replace(netloc=f"{login[0]}{login[1]}127.0.0.1:{self.port}").geturl()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for end in self._ends:
            end.transport.abort()
        while self._ends:
            await asyncio.sleep(0.01)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._real.hostname, self._real.port)
        ends = {writer, far_writer}
        self._ends |= ends
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._ends -= ends


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@pytest.fixture
async def release() -> AsyncIterator[str]:
    """A queue of its own on the broker."""
    name = f"test-{uuid4().hex[:12]}"
    try:
        await delete_queues(RABBITMQ_URL, name)
    except aio_pika.exceptions.CONNECTION_EXCEPTIONS as error:
        absent(f"RabbitMQ: {error}")
    yield name
    await delete_queues(RABBITMQ_URL, name)


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """The URL of a database of its own."""
    if silent := mongodb_silent():
        absent(f"MongoDB: {silent}")
    name = f"essaim-test-{uuid4().hex[:12]}"
    yield urlsplit(MONGODB_URL)._replace(path=f"/{name}").geturl()
    async with AsyncMongoClient[dict[str, Any]](MONGODB_URL) as client:
        await client.drop_database(name)


@pytest.fixture
async def late() -> AsyncIterator[Callable[[str], Awaitable[LateServer]]]:
    made: list[LateServer] = []

    async def make(url: str) -> LateServer:
        made.append(LateServer(url))
        await made[-1].bind()
        return made[-1]

    yield make
    for server in made:
        await server.close()


async def listening(house: House) -> str:
    found = await eventually(lambda: re.search(r"api\.listening address=(\S+)", house.logs()))
    return str(found[1])


async def one_job(http: httpx.AsyncClient) -> Any:
    answer = await http.post("/v1/jobs", json=REQUEST, headers={"Prefer": "wait=60"})
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]["counts"]


async def ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


async def runs_one_job(house: House) -> None:
    house.start("api")
    house.start("worker")
    async with httpx.AsyncClient(base_url=await listening(house), timeout=90, trust_env=False) as http:
        assert await one_job(http) == {"a": 2}, house.logs()


async def test_a_broker_that_is_late_is_waited_for(
    build_house: Build, release: str, late: Callable[[str], Awaitable[LateServer]]
) -> None:
    broker = await late(RABBITMQ_URL)
    house = build_house(None, api_port=0, queue_url=broker.url, release=release, start_seconds=600)
    processes = [house.start("api"), house.start("worker")]
    url = await listening(house)
    await eventually(lambda: house.logs().count("backend.awaited backend=queue") == 2)
    async with httpx.AsyncClient(base_url=url, timeout=90, trust_env=False) as http:
        assert (await http.get("/livez")).json() == {"status": "ok"}
        for method, path in (("GET", "/readyz"), ("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/nowhere")):
            answer = await http.request(method, path)
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            assert f"RabbitMQ at 127.0.0.1:{broker.port} does not answer" in answer.json()["detail"]
            assert answer.headers["retry-after"]
            assert answer.headers["x-request-id"]
        assert [process.poll() for process in processes] == [None, None]
        await broker.open()
        await eventually(lambda: ready(http))
        assert await one_job(http) == {"a": 2}
    assert house.logs().count("backend.awaited") == 2  # one line a process, however often it was tried
    assert house.logs().count("backend.reached backend=queue") == 2
    assert "error when creating transport" not in house.logs()


async def test_a_job_store_that_is_late_is_waited_for(
    build_house: Build, database: str, late: Callable[[str], Awaitable[LateServer]]
) -> None:
    server = await late(database)
    house = build_house(None, api_port=0, store_url=server.url, start_seconds=600)
    house.start("api")
    house.start("worker")
    url = await listening(house)
    async with httpx.AsyncClient(base_url=url, timeout=90, trust_env=False) as http:
        answer = await http.get("/readyz")  # held until it is known that the store does not answer
        assert answer.status_code == 503
        assert f"MongoDB at 127.0.0.1:{server.port} does not answer" in answer.json()["detail"]
        await server.open()
        await eventually(lambda: ready(http))
        assert await one_job(http) == {"a": 2}


async def test_rabbitmq_goes_with_sqlite(build_house: Build, release: str) -> None:
    await runs_one_job(build_house(None, api_port=0, queue_url=RABBITMQ_URL, release=release))


async def test_mongodb_goes_with_sqlite(build_house: Build, database: str) -> None:
    await runs_one_job(build_house(None, api_port=0, store_url=database))


@pytest.mark.parametrize("module", ["api", "worker"])
@pytest.mark.parametrize("seconds", [0, 0.5])
async def test_waiting_in_vain_ends_in_one_line_that_says_what_to_do(
    build_house: Build, late: Callable[[str], Awaitable[LateServer]], module: str, seconds: float
) -> None:
    broker = await late(f"amqp://ada:{SECRET}@127.0.0.1/")
    house = build_house(None, api_port=0, queue_url=broker.url, start_seconds=seconds)
    assert await asyncio.to_thread(house.start(module).wait, 60) == 2
    last = house.logs().strip().splitlines()[-1]
    assert last.startswith(f"essaim {module}: ")
    assert f"RabbitMQ at 127.0.0.1:{broker.port} does not answer" in last
    assert "start it, or correct ESSAIM_QUEUE_URL" in last
    assert ("ESSAIM_START_SECONDS" in last) == bool(seconds)
    assert SECRET not in house.logs()
    assert "Traceback" not in house.logs()


@pytest.mark.parametrize("module", ["api", "worker"])
async def test_a_host_that_does_not_exist_ends_in_one_line(build_house: Build, module: str) -> None:
    house = build_house(None, api_port=0, queue_url=f"amqp://ada:{SECRET}@no.such.host.invalid/", start_seconds=0)
    assert await asyncio.to_thread(house.start(module).wait, 60) == 2
    last = house.logs().strip().splitlines()[-1]
    assert "RabbitMQ at no.such.host.invalid:5672 does not answer" in last
    assert "correct ESSAIM_QUEUE_URL" in last
    assert SECRET not in house.logs()


@pytest.mark.parametrize("module", ["api", "worker"])
async def test_a_wrong_password_is_not_waited_for(build_house: Build, release: str, module: str) -> None:
    real = urlsplit(RABBITMQ_URL)
    url = real._replace(netloc=f"{real.username}:{SECRET}@{real.hostname}:{real.port}").geturl()
    house = build_house(None, api_port=0, queue_url=url, release=release, start_seconds=3600)
    assert await asyncio.to_thread(house.start(module).wait, 60) == 2
    said = f"ESSAIM_QUEUE_URL: RabbitMQ at {real.hostname}:{real.port} refuses the user or the password"
    assert house.logs().strip().splitlines()[-1] == f"essaim {module}: {said}"
    assert "backend.awaited" not in house.logs()
    assert SECRET not in house.logs()


@pytest.mark.parametrize("module", ["api", "worker"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_leaves_while_it_waits(
    build_house: Build,
    late: Callable[[str], Awaitable[LateServer]],
    module: str,
    number: signal.Signals,
) -> None:
    broker = await late(RABBITMQ_URL)
    house = build_house(None, api_port=0, queue_url=broker.url, start_seconds=3600)
    process = house.start(module)
    await eventually(lambda: "backend.awaited" in house.logs())
    process.send_signal(number)
    assert await asyncio.to_thread(process.wait, 60) == 0, house.logs()
    assert "in vain" not in house.logs()
