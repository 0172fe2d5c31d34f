"""What a worker tells Kubernetes about its own pod, and that it works on whatever comes of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from essaim.jobs.backends import open_backends
from essaim.jobs.model import State
from essaim.jobs.service import JobService
from essaim.jobs.settings import Settings, load_settings
from essaim.kubernetes.cluster import Cluster, own_cluster
from essaim_words.payload import Request
from essaim_worker.consumer import Consumer
from essaim_worker.pod import ANNOTATION, PodCost
from tests.api_server import ApiServer
from tests.conftest import eventually

POD = "/api/v1/namespaces/essaim/pods/worker-1"
LONG = 600.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data", pod_name="worker-1", pod_namespace="essaim")


@pytest.fixture
def server(kubernetes: ApiServer) -> ApiServer:
    kubernetes.objects[POD] = {}
    return kubernetes


class Work:
    """So many deliveries in hand."""

    def __init__(self, settings: Settings, **seconds: float) -> None:
        self.count = 0
        self.pod = PodCost(settings, lambda: self.count, **seconds)

    def set(self, count: int) -> None:
        self.count = count
        self.pod.changed()

    @asynccontextmanager
    async def shown(self, server: ApiServer) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self.pod.keep(server.cluster))
        yield
        assert not keeping.done()
        keeping.cancel()
        await asyncio.wait({keeping})


def costs(server: ApiServer) -> list[str]:
    return [seen.content["metadata"]["annotations"][ANNOTATION] for seen in server.seen]


async def test_a_busy_pod_costs_more_than_an_idle_one(server: ApiServer, settings: Settings) -> None:
    work = Work(settings, rise=0.01, fall=0.01)
    async with work.shown(server):
        for count in (1, 3, 0):
            work.set(count)
            await eventually(lambda count=count: costs(server)[-1:] == [str(100 * count)])
    assert server.objects[POD]["metadata"]["annotations"] == {ANNOTATION: "0"}
    assert {(seen.method, seen.path) for seen in server.seen} == {("PATCH", POD)}


async def test_many_small_tasks_are_one_write(server: ApiServer, settings: Settings) -> None:
    work = Work(settings, rise=0.01, fall=LONG)
    async with work.shown(server):
        work.set(1)
        await eventually(lambda: costs(server))
        for _ in range(200):
            work.set(0)
            await asyncio.sleep(0.001)
            work.set(1)
            await asyncio.sleep(0.001)
        work.set(2)
        await eventually(lambda: len(costs(server)) > 1)
    assert costs(server) == ["100", "200"]


async def test_what_is_over_at_once_is_not_told(server: ApiServer, settings: Settings) -> None:
    work = Work(settings, rise=0.2, fall=LONG)
    async with work.shown(server):
        work.set(1)
        await asyncio.sleep(0)
        work.set(0)
        await asyncio.sleep(0.4)
        work.set(2)
        await eventually(lambda: costs(server))
    assert costs(server) == ["200"]


async def test_a_container_that_starts_again_takes_back_what_the_last_one_left(
    server: ApiServer, settings: Settings
) -> None:
    server.objects[POD] = {"metadata": {"annotations": {ANNOTATION: "300"}}}
    async with Work(settings, fall=0.01).shown(server):
        await eventually(lambda: costs(server) == ["0"])


async def test_one_request_at_a_time_and_the_latest_state_wins(server: ApiServer, settings: Settings) -> None:
    work = Work(settings, rise=0.01, fall=0.01)
    server.answering.clear()
    async with work.shown(server):
        work.set(1)
        await eventually(lambda: server.waiting == 1)
        for count in (5, 2, 0, 7):
            work.set(count)
            await asyncio.sleep(0.02)
        assert server.waiting == 1
        server.answering.set()
        await eventually(lambda: costs(server) == ["100", "700"])


async def test_a_failure_is_logged_once_until_it_works_again(
    server: ApiServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "essaim")
    work = Work(settings, rise=0.01, fall=0.01, pause=0.01)
    server.refuse = [(403, "forbidden")] * 3
    async with work.shown(server):
        work.set(1)
        await eventually(lambda: "pod.cost_shown" in caplog.messages)
        server.refuse = [(500, "broken")]
        work.set(2)
        await eventually(lambda: caplog.messages.count("pod.cost_shown") == 2)
    assert caplog.messages == ["pod.cost_missed", "pod.cost_shown"] * 2
    assert "missing permission: verb 'patch' on 'pods'" in str(caplog.records[0].__dict__["fields"]["reason"])


def nowhere() -> Cluster:
    return Cluster("http://127.0.0.1:9")


@pytest.mark.parametrize("how", ["silent", "absent", "no cluster at all"])
async def test_work_goes_on_whatever_the_api_server_does(how: str, server: ApiServer, settings: Settings) -> None:
    server.answering.clear()
    clusters = {"silent": server.cluster, "absent": nowhere, "no cluster at all": own_cluster}
    async with open_backends(settings) as backends:
        leaving = asyncio.Event()
        consumer = Consumer(backends, settings, "tester", leaving, clusters[how])
        working = asyncio.create_task(consumer.run())
        service = JobService(backends, settings)
        for pause in (1.5, 0.0, 0.0):  # the first is told; the others come while it is being told
            job, _ = await service.submit(Request(words=["bee"], text="a bee", pause_seconds=pause), "tester")

        async def ended() -> bool:
            return (await service.get(job.id)).state is State.SUCCEEDED

        await eventually(ended)
        assert server.waiting == (how == "silent")
        leaving.set()
        await working
    assert server.seen == []


async def test_a_worker_tells_of_its_work(server: ApiServer, settings: Settings) -> None:
    async with open_backends(settings) as backends:
        leaving = asyncio.Event()
        consumer = Consumer(backends, settings, "tester", leaving, server.cluster)
        working = asyncio.create_task(consumer.run())
        service = JobService(backends, settings)
        await service.submit(Request(words=["bee"], text="a bee", pause_seconds=LONG), "tester")
        await eventually(lambda: costs(server) == ["100"])
        leaving.set()
        await working
