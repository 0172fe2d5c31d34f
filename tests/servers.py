"""The servers that tests run against: where they are, and what it means that one does not answer."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import ServerSelectionTimeoutError

MONGODB_URL = os.environ.get("ESSAIM_TEST_MONGODB_URL", "mongodb://127.0.0.1:27017")
RABBITMQ_URL = os.environ.get("ESSAIM_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
RABBITMQ_MANAGEMENT_URL = os.environ.get("ESSAIM_TEST_RABBITMQ_MANAGEMENT_URL", "http://127.0.0.1:15672")
RABBITMQ_310_URL = os.environ.get("ESSAIM_TEST_RABBITMQ_310_URL", "amqp://guest:guest@127.0.0.1:5673/")
OTELCOL = os.environ.get("ESSAIM_TEST_OTELCOL") or shutil.which("otelcol-contrib") or shutil.which("otelcol") or ""
S3_URL = os.environ.get("ESSAIM_TEST_S3_URL", "s3://bed")
S3 = {
    "AWS_ENDPOINT_URL": os.environ.get("ESSAIM_TEST_S3_ENDPOINT", "http://127.0.0.1:7070"),
    "AWS_ACCESS_KEY_ID": os.environ.get("ESSAIM_TEST_S3_KEY", "test"),
    "AWS_SECRET_ACCESS_KEY": os.environ.get("ESSAIM_TEST_S3_SECRET", "testtest"),
    "AWS_REGION": "us-east-1",
}


def absent(reason: str) -> NoReturn:
    """A server that is not there is no news on a laptop; in CI it would leave claims unproven."""
    if os.environ.get("CI"):
        pytest.fail(f"in CI every backend must answer: {reason}")
    pytest.skip(reason)


@cache
def mongodb_silent() -> str:
    """Why it does not answer; empty if it does. One that is not there is waited for once, not in every test."""
    with MongoClient[dict[str, Any]](MONGODB_URL, serverSelectionTimeoutMS=5000) as client:
        try:
            client.admin.command("ping")
        except ServerSelectionTimeoutError as error:
            return str(error)
    return ""


async def delete_queues(url: str, release: str) -> None:
    """A broker's queues outlive a test, unlike a temporary folder."""
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        for suffix in ("", ".dead", ".busy", *(f".wait.{step:g}s" for step in (0.25, 1, 4, 16, 64, 256))):
            await channel.queue_delete(f"jobs.{release}{suffix}")


@asynccontextmanager
async def services() -> AsyncIterator[dict[str, str]]:
    """Settings of a house on RabbitMQ, MongoDB and S3, with a queue, a database and a folder that nobody else has.

    Whoever uses them also needs the variables in `S3`.
    """
    name = f"test-{uuid4().hex[:12]}"
    store = urlsplit(MONGODB_URL)._replace(path=f"/essaim-{name}").geturl()
    if silent := mongodb_silent():
        absent(silent)
    try:
        await delete_queues(RABBITMQ_URL, name)
    except OSError as error:
        absent(str(error))
    queue = f"{RABBITMQ_URL}?heartbeat=2"  # a frozen process loses its deliveries twice as late
    yield {"release": name, "queue_url": queue, "store_url": store, "texts_url": f"{S3_URL}/{name}"}
    async with AsyncMongoClient[dict[str, Any]](MONGODB_URL) as client:
        await client.drop_database(f"essaim-{name}")
    await delete_queues(RABBITMQ_URL, name)
