"""The Secrets of the local overlay: made once, agreeing with each other, and enough for RabbitMQ without being too much."""

import base64
import hashlib
import json
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import httpx
import pytest
from aiormq.exceptions import ChannelAccessRefused
from cloudevents.core.v1.event import CloudEvent

from essaim.cli.credentials import definitions
from essaim.jobs.backends import open_backends
from essaim.jobs.settings import load_settings
from tests.api_server import TOKEN, ApiServer
from tests.integration.essaim_command import Said, essaim
from tests.servers import RABBITMQ_MANAGEMENT_URL, RABBITMQ_URL, absent, delete_queues

FOLDER = "/api/v1/namespaces/bees/secrets"
NAMES = ["essaim-keda", "essaim-queue", "essaim-store", "essaim-texts", "mongodb", "rabbitmq"]


def make(server: ApiServer) -> Said:
    kubeconfig = server.kubeconfig({"token": TOKEN})
    return essaim("credentials", "--namespace", "bees", KUBECONFIG=str(kubeconfig))


def values(server: ApiServer, name: str) -> dict[str, str]:
    data = server.objects[f"{FOLDER}/{name}"]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def fits(password: str, user: dict[str, str]) -> bool:
    salted = base64.b64decode(user["password_hash"])
    return salted[4:] == hashlib.sha256(salted[:4] + password.encode()).digest()


def agree(server: ApiServer) -> bool:
    """Whether the servers know the passwords of their clients."""
    app, monitoring = json.loads(values(server, "rabbitmq")["definitions.json"])["users"]
    queue = urlsplit(values(server, "essaim-queue")["ESSAIM_QUEUE_URL"])
    store = urlsplit(values(server, "essaim-store")["ESSAIM_STORE_URL"])
    assert (app["name"], monitoring["name"]) == (queue.username, values(server, "essaim-keda")["username"])
    known = values(server, "mongodb") == {"username": store.username, "password": store.password}
    return known and fits(queue.password or "", app) and fits(values(server, "essaim-keda")["password"], monitoring)


def test_secrets_are_made_once_and_never_changed(kubernetes: ApiServer) -> None:
    first = make(kubernetes)
    assert first.code == 0, first.err
    made = dict(kubernetes.objects)
    assert sorted(made) == [f"{FOLDER}/{name}" for name in NAMES]
    assert agree(kubernetes)
    again = make(kubernetes)
    assert kubernetes.objects == made
    assert sorted(first.out.splitlines()) == sorted(f"created Secret {name}" for name in NAMES)
    assert sorted(again.out.splitlines()) == sorted(f"Secret {name} exists" for name in NAMES)


@pytest.mark.parametrize("lost", NAMES[1:])
def test_what_a_crash_left_out_is_made_to_agree_with_the_rest(kubernetes: ApiServer, lost: str) -> None:
    make(kubernetes)
    servers = ["mongodb", "rabbitmq"]
    for name in {lost, *servers}:
        del kubernetes.objects[f"{FOLDER}/{name}"]
    assert make(kubernetes).code == 0
    assert agree(kubernetes)


@pytest.mark.parametrize(
    ("client", "variable", "url", "server"),
    [
        ("essaim-store", "ESSAIM_STORE_URL", "mongodb://db.example.com:27017/essaim", "mongodb"),
        ("essaim-store", "ESSAIM_STORE_URL", "mongodb+srv://CN%3Dessaim@db.example.com/essaim?tls=true", "mongodb"),
        ("essaim-queue", "ESSAIM_QUEUE_URL", "amqps://broker.example.com:5671/", "rabbitmq"),
    ],
)
def test_a_client_without_a_password_needs_no_secret_of_its_server(
    kubernetes: ApiServer, client: str, variable: str, url: str, server: str
) -> None:
    kubernetes.objects[f"{FOLDER}/{client}"] = {"data": {variable: base64.b64encode(url.encode()).decode()}}
    said = make(kubernetes)
    assert (said.code, said.err) == (0, "")
    wanted = f"the URL in Secret {client} names no user and password: Secret {server} is not needed, and not made"
    assert said.out.splitlines().count(wanted) == 1
    assert sorted(kubernetes.objects) == [f"{FOLDER}/{name}" for name in NAMES if name != server]


def test_a_secret_of_somebody_else_is_not_touched_and_what_it_lacks_is_said(kubernetes: ApiServer) -> None:
    kubernetes.objects[f"{FOLDER}/essaim-queue"] = theirs = {"data": {"URL": "YQ=="}}
    said = make(kubernetes)
    assert said.code == 2
    assert "Secret 'essaim-queue' lacks ESSAIM_QUEUE_URL" in said.err
    assert kubernetes.objects == {f"{FOLDER}/essaim-queue": theirs}


async def test_rabbitmq_lets_both_users_do_their_work_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    release = f"test-{uuid4().hex[:8]}"
    app, keda = (f"{release}-app", "p1"), (f"{release}-keda", "p2")
    administrator, server = urlsplit(RABBITMQ_URL), urlsplit(RABBITMQ_URL).netloc.rpartition("@")[2]
    login = (administrator.username or "guest", administrator.password or "guest")
    event = CloudEvent({"id": "1", "type": "riddle", "source": "/test"}, {})
    async with httpx.AsyncClient(base_url=RABBITMQ_MANAGEMENT_URL, trust_env=False) as http:
        try:
            content = json.loads(definitions(app, keda))
            loaded = await http.post("/api/definitions", json=content, auth=login)
        except httpx.TransportError as error:
            absent(f"RabbitMQ's management at {RABBITMQ_MANAGEMENT_URL}: {error}")
        assert loaded.status_code == 204, loaded.text
        try:
            url = f"amqp://{':'.join(app)}@{server}/"
            async with open_backends(load_settings(queue_url=url, release=release)) as backends:
                queue = backends.queue
                queue.notify(event)
                await queue.publish([event, event])
                async with queue.deliveries(1) as deliveries:
                    await (await anext(deliveries)).retry(0.1)
                    await (await anext(deliveries)).park("to see whether it may")
                assert len(await queue.dead_letters()) == 1
                await queue.depth()
                found = await http.get(f"/api/queues/%2F/jobs.{release}", auth=keda)
                assert found.json()["name"] == f"jobs.{release}"
                await look_and_do_nothing_else(f"amqp://{':'.join(keda)}@{server}/", f"jobs.{release}")
            assert "queue.notifications_lost" not in caplog.messages
        finally:
            await delete_queues(RABBITMQ_URL, release)
            for name, _ in (app, keda):
                await http.delete(f"/api/users/{name}", auth=login)


async def look_and_do_nothing_else(url: str, queue: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, passive=True)
        with pytest.raises(ChannelAccessRefused):
            await (await channel.get_queue(queue, ensure=False)).get()
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await channel.default_exchange.publish(aio_pika.Message(b"{}"), queue)
