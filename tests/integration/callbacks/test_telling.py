"""Being told when a job ends: once, signed, whatever its end."""

import json
import re
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from essaim.errors import IdempotencyConflictError
from tests.conftest import ROOT, BuildHouse
from tests.integration.callbacks.conftest import SECRET, SETTINGS, Site, data, on_services
from tests.receiver import Receiver
from tests.servers import RABBITMQ_URL

(VERIFY,) = re.findall(r"^```py\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
ENDINGS: list[tuple[dict[str, Any], str]] = [
    ({"steps": 1}, "succeeded"),
    ({"tasks": 3, "steps": 1}, "succeeded"),
    ({"rejects": True}, "failed"),
    ({"tasks": 2, "steps": 1, "raises": 9}, "failed"),
    ({"tasks": 2, "steps": 1, "merge_raises": True}, "failed"),
    ({"tasks": 1000}, "failed"),
]


@on_services
async def test_the_end_of_a_job_is_told_once_and_signed(site: Site, receiver: Receiver) -> None:
    site.house.start()
    job = await site.submit(receiver.url)
    await site.until(lambda: receiver.calls)
    ended = await site.ended(job)
    await site.logged("callback.delivered")
    (call,) = receiver.calls
    assert (call.path, call.headers["host"]) == ("/done?for=7", f"127.0.0.1:{receiver.port}")
    assert call.headers["content-type"] == "application/cloudevents+json"
    event = json.loads(call.body)
    assert (event["type"], event["subject"], event["id"]) == (
        *("essaim.job.succeeded", job.id),
        call.headers["webhook-id"],
    )
    assert event["data"] == {
        "version": 1,
        "id": job.id,
        "state": "succeeded",
        "run": 1,
        "release": job.release,
        "created": job.created.isoformat(),
        "ended": ended.ended.isoformat() if ended.ended else None,
        "problem": None,
        "result": f"/v1/jobs/{job.id}/result",
    }


async def test_the_readmes_way_to_verify_takes_our_calls_and_no_others(site: Site, receiver: Receiver) -> None:
    verified: dict[str, Any] = {}
    exec(VERIFY, verified)
    site.house.start()
    await site.submit(receiver.url)
    await site.until(lambda: receiver.calls)
    call = receiver.calls[0]
    verified["verify"](SECRET, call.headers, call.body)
    changed = {**call.headers, "webhook-timestamp": str(int(call.headers["webhook-timestamp"]) - 1)}
    old = {**call.headers, "webhook-timestamp": "1700000000"}
    for headers, body, secret in (
        (call.headers, call.body + b" ", SECRET),
        (changed, call.body, SECRET),
        (old, call.body, SECRET),
        (call.headers, call.body, "whsec_" + "A" * 32),
    ):
        with pytest.raises(ValueError, match=r"signature|old"):
            verified["verify"](secret, headers, body)


async def test_both_secrets_sign_while_one_replaces_the_other(site: Site, receiver: Receiver) -> None:
    verified: dict[str, Any] = {}
    exec(VERIFY, verified)
    new = "whsec_" + "B" * 32
    site.house.start(ESSAIM_CALLBACK_SECRET=f"{new}, {SECRET}")
    await site.submit(receiver.url)
    await site.until(lambda: receiver.calls)
    for secret in (new, SECRET):
        verified["verify"](secret, receiver.calls[0].headers, receiver.calls[0].body)


@pytest.mark.parametrize(("options", "state"), ENDINGS)
async def test_every_end_is_told(site: Site, receiver: Receiver, options: dict[str, Any], state: str) -> None:
    site.house.start()
    job = await site.submit(receiver.url, **options)
    await site.until(lambda: receiver.calls)
    ended = await site.ended(job)
    told = data(receiver.calls[0])
    assert (told["id"], told["state"]) == (job.id, state)
    if ended.problem is not None:
        assert told["problem"] == {"type": ended.problem.type, "detail": ended.problem.detail}
        assert told["result"] is None


@on_services
async def test_a_cancellation_is_told(site: Site, receiver: Receiver) -> None:
    job = await site.submit(receiver.url)
    await site.service.cancel(job.id)
    await site.service.cancel(job.id)  # it has ended: nothing more to tell
    site.house.start()
    await site.logged("callback.delivered")
    assert [data(call)["state"] for call in receiver.calls] == ["cancelled"]


async def test_a_job_without_a_callback_calls_nobody(site: Site, receiver: Receiver) -> None:
    site.house.start()
    silent = await site.submit(None)
    await site.ended(silent)
    job = await site.submit(receiver.url)
    await site.until(lambda: receiver.calls)
    assert [data(call)["id"] for call in receiver.calls] == [job.id]


async def test_each_run_of_a_job_is_told(site: Site, receiver: Receiver) -> None:
    site.house.start()
    job = await site.submit(receiver.url, raises=2)
    await site.until(lambda: len(receiver.calls) == 1)
    await site.service.retry(job.id)
    await site.until(lambda: len(receiver.calls) == 2)
    first, second = map(data, receiver.calls)
    assert (first["run"], first["state"], second["run"], second["state"]) == (1, "failed", 2, "succeeded")
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 2


@pytest.mark.parametrize("site", ["services"], indirect=True)
async def test_whoever_listens_hears_of_every_job(site: Site) -> None:
    async with await aio_pika.connect(RABBITMQ_URL) as connection, connection.channel() as channel:
        exchange = await channel.declare_exchange("essaim.jobs", aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, f"{site.house.settings.release}.job.*")
        heard: list[tuple[str, str]] = []

        async def hear(message: AbstractIncomingMessage) -> None:
            event = json.loads(message.body)
            heard.append((event["id"], (message.routing_key or "").rpartition(".")[2]))

        await queue.consume(hear, no_ack=True)
        site.house.start()
        done, failed = await site.submit(None), await site.submit(None, rejects=True)
        many = await site.submit(None, tasks=2)
        cancelled = await site.submit(None, steps=10_000)
        await site.service.cancel(cancelled.id)
        ends = {(done.id, "succeeded"), (failed.id, "failed"), (many.id, "succeeded"), (cancelled.id, "cancelled")}
        wanted = ends | {(job.id, "queued") for job in (done, failed, many, cancelled)}
        await site.until(lambda: len(heard) >= len(wanted))
        assert set(heard) == wanted


async def test_a_full_queue_does_not_keep_jobs_from_ending(
    build_house: BuildHouse, journal_request: type[Any], receiver: Receiver
) -> None:
    house = build_house("journal", **SETTINGS, max_queue_length=3)
    async with house.backends() as backends:
        site = Site(house, backends, journal_request)
        jobs = [await site.submit(receiver.url) for _ in range(3)]
        house.start()
        await site.until(lambda: {data(call)["id"] for call in receiver.calls} == {job.id for job in jobs})


async def test_the_same_key_with_another_callback_is_another_request(
    site: Site, receiver: Receiver, journal_request: type[Any]
) -> None:
    request = journal_request(journal="x")
    job, new = await site.service.submit(request, "tester", "key", receiver.url)
    assert new
    assert await site.service.submit(request, "tester", "key", receiver.url) == (job, False)
    for other in (None, receiver.url + "8"):
        with pytest.raises(IdempotencyConflictError):
            await site.service.submit(request, "tester", "key", other)
