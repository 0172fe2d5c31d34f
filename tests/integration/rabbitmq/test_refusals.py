"""A broker that refuses is told in a sentence."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest
from aio_pika.abc import AbstractChannel

from essaim.errors import EssaimError, SettingsError, UnavailableError
from essaim.jobs.adapters.rabbitmq.queue import RabbitQueue, open_rabbitmq_queue
from tests.integration.rabbitmq.conftest import BROKER


async def refusal(opening: AbstractAsyncContextManager[RabbitQueue], kind: type[EssaimError] = SettingsError) -> str:
    with pytest.raises(kind) as raised:
        async with opening:
            pass
    return str(raised.value)


async def test_a_wrong_password_is_told_in_a_sentence_without_it(channel: AbstractChannel, release: str) -> None:
    said = await refusal(open_rabbitmq_queue(str(BROKER.with_password("s3cret")), release, 10))
    assert said == f"ESSAIM_QUEUE_URL: RabbitMQ at {BROKER.host}:{BROKER.port} refuses the user or the password"


async def test_no_such_virtual_host_is_told_in_a_sentence(channel: AbstractChannel, release: str) -> None:
    said = await refusal(open_rabbitmq_queue(str(BROKER.with_path("/nowhere")), release, 10))
    where = f"RabbitMQ at {BROKER.host}:{BROKER.port}"
    assert said == f"ESSAIM_QUEUE_URL: {where} refuses the user or has no such virtual host"


async def test_a_broker_that_is_not_there_is_told_in_a_sentence(release: str) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    said = await refusal(open_rabbitmq_queue(f"amqp://ada:s3cret@127.0.0.1:{port}/", release, 10), UnavailableError)
    assert said.startswith(f"RabbitMQ at 127.0.0.1:{port} does not answer")
    assert "s3cret" not in said
    assert "\n" not in said
