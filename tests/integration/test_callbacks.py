"""Being told when a job ends: real workers call a real receiver, whatever is killed, down or refused meanwhile."""

import json
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from jobs.backends import Backends
from jobs.errors import IdempotencyConflictError
from jobs.model import Job, State
from jobs.service import JobService
from tests.conftest import ROOT, House
from tests.receiver import Call, Receiver
from tests.servers import RABBITMQ_URL, S3, absent, services

Eventually = Callable[..., Awaitable[Any]]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = {"callback_hosts": "127.0.0.1, localhost", "callback_secret": SECRET, "callback_private_addresses": True}
(VERIFY,) = re.findall(r"^```py\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
ENDINGS: list[tuple[dict[str, Any], str]] = [
    ({"steps": 1}, "succeeded"),
    ({"tasks": 3, "steps": 1}, "succeeded"),
    ({"rejects": True}, "failed"),
    ({"tasks": 2, "steps": 1, "raises": 9}, "failed"),
    ({"tasks": 2, "steps": 1, "merge_raises": True}, "failed"),
    ({"tasks": 1000}, "failed"),
]


class Site:
    """A house whose jobs call back, and what a client does with it."""

    def __init__(self, house: House, backends: Backends, request: type[Any], eventually: Eventually) -> None:
        self.house = house
        self.backends = backends
        self.service = JobService(backends, house.settings)
        self.eventually = eventually
        self._request = request

    async def submit(self, callback: str | None, **options: object) -> Job:
        request = self._request(journal=str(self.house.folder / "journal"), **{"steps": 1, **options})
        job, _ = await self.service.submit(request, "tester", callback=callback)
        return job

    async def until(self, condition: Callable[[], Any]) -> Any:
        try:
            return await self.eventually(condition)
        except TimeoutError:
            raise AssertionError(self.house.logs()) from None

    async def ended(self, job: Job) -> Job:
        async def look() -> Job | None:
            now = await self.service.get(job.id)
            return now if now.state.ended else None

        found: Job = await self.until(look)
        return found


@pytest.fixture
async def site(
    request: pytest.FixtureRequest,
    build_house: Callable[..., House],
    journal_request: type[Any],
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Site]:
    """On SQLite and files; `on_services` is what runs a test on RabbitMQ, MongoDB and S3 too."""
    async with AsyncExitStack() as stack:
        settings: dict[str, object] = {**SETTINGS, "max_attempts": 2, "max_tasks_per_job": 100}
        if getattr(request, "param", "embedded") == "services":
            settings |= await stack.enter_async_context(services())
            for name, value in S3.items():
                monkeypatch.setenv(name, value)
        house = build_house(ROOT / "tests" / "houses" / "journal", **settings)
        house.environment.update(S3)
        backends = await stack.enter_async_context(house.backends())
        stack.callback(house.kill_all)
        yield Site(house, backends, journal_request, eventually)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with receiver.serve():
        yield receiver


on_services = pytest.mark.parametrize("site", ["embedded", "services"], indirect=True)


def data(call: Call) -> dict[str, Any]:
    return dict(json.loads(call.body)["data"])


@on_services
async def test_the_end_of_a_job_is_told_once_and_signed(site: Site, receiver: Receiver) -> None:
    site.house.start()
    job = await site.submit(receiver.url)
    await site.until(lambda: receiver.calls)
    ended = await site.ended(job)
    await site.until(lambda: "callback.delivered" in site.house.logs())
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
    await site.until(lambda: "callback.delivered" in site.house.logs())
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


@on_services
async def test_a_receiver_that_was_down_is_called_when_it_is_up(site: Site) -> None:
    receiver = Receiver()
    async with receiver.serve():
        pass
    site.house.start()
    await site.submit(receiver.url)
    await site.until(lambda: site.house.logs().count("callback.delayed") > 1)
    async with receiver.serve(receiver.port):
        await site.until(lambda: receiver.calls)


@pytest.mark.parametrize("answer", ["500 Oops", "404 Not Found", "429 Slow Down", "100 Continue\r\n\r\nHTTP/1.1 503 X"])
async def test_what_is_refused_is_told_again_with_the_same_words(site: Site, answer: str) -> None:
    receiver = Receiver(answer, answer, "200 OK")
    async with receiver.serve():
        site.house.start()
        await site.submit(receiver.url)
        await site.until(lambda: "callback.delivered" in site.house.logs())
    assert len(receiver.calls) == 3
    assert len({(call.headers["webhook-id"], call.body) for call in receiver.calls}) == 1


async def test_a_receiver_may_say_when_to_call_again(site: Site) -> None:
    receiver = Receiver("503 Later\r\nRetry-After: 2", "200 OK")
    async with receiver.serve():
        site.house.start()
        await site.submit(receiver.url)
        await site.until(lambda: len(receiver.calls) == 2)
    first, second = receiver.calls
    assert second.at - first.at >= 1.9


async def test_a_receiver_that_is_gone_is_not_called_again(site: Site) -> None:
    receiver = Receiver("410 Gone")
    async with receiver.serve():
        site.house.start()
        await site.submit(receiver.url)
        (letter,) = await site.until(site.backends.queue.dead_letters)
    assert letter.reason == "the end of the job could not be told: 127.0.0.1 answers 410"
    assert len(receiver.calls) == 1


async def test_no_redirect_is_followed(site: Site) -> None:
    receiver = Receiver("307 Elsewhere\r\nLocation: /elsewhere", "200 OK")
    async with receiver.serve():
        site.house.start()
        await site.submit(receiver.url)
        await site.until(lambda: "callback.delivered" in site.house.logs())
    assert [call.path for call in receiver.calls] == ["/done?for=7"] * 2


@on_services
async def test_what_could_not_be_told_is_parked_and_a_replay_tells_it(site: Site) -> None:
    receiver = Receiver()
    async with receiver.serve():
        pass
    site.house.start(ESSAIM_CALLBACK_GIVE_UP_SECONDS="0.5")
    job = await site.submit(receiver.url, rejects=True)
    (letter,) = await site.until(site.backends.queue.dead_letters)
    assert "cannot be reached" in letter.reason
    assert "callback.given_up" in site.house.logs()
    async with receiver.serve(receiver.port):
        assert await site.service.replay([letter.id]) == 1
        await site.until(lambda: receiver.calls)
    now = await site.service.get(job.id)
    assert (now.state, now.run) == (State.FAILED, 1)  # the job itself was not retried


@on_services
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("options", "state"), [({}, "succeeded"), ({"tasks": 2}, "succeeded"), ({"rejects": True}, "failed")]
)
async def test_a_worker_killed_around_the_end_of_a_job_leaves_nobody_untold(
    site: Site, receiver: Receiver, when: str, options: dict[str, Any], state: str
) -> None:
    """SIGKILL right before or right after the end of the job is written, and nobody was called yet."""
    job = await site.submit(receiver.url, **options)
    killed = subprocess.run(
        [sys.executable, "-c", DIES_AT_THE_END, when],
        cwd=site.house.folder / "house",
        env=site.house.environment,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (await site.service.get(job.id)).state.ended is (when == "after")
    assert not receiver.calls
    site.house.start()
    await site.until(lambda: receiver.calls)
    assert {(call.headers["webhook-id"], data(call)["state"]) for call in receiver.calls} == {
        (f"{job.id}/run/1/{state}", state)
    }


async def test_a_worker_killed_during_the_call_is_followed_by_another_call(site: Site) -> None:
    receiver = Receiver(None, "200 OK")
    async with receiver.serve():
        worker = site.house.start()
        await site.submit(receiver.url)
        await site.until(lambda: receiver.calls)
        worker.kill()
        site.house.start()
        await site.until(lambda: len(receiver.calls) > 1)
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1


async def test_a_receiver_that_never_answers_keeps_a_worker_for_a_while_only(site: Site) -> None:
    receiver = Receiver(None)
    async with receiver.serve():
        site.house.start()
        await site.submit(receiver.url)
        await site.until(lambda: receiver.calls)
        other = await site.submit(None)
        assert (await site.ended(other)).state is State.SUCCEEDED
    assert "did not answer within 10 seconds" in site.house.logs()


async def test_a_full_queue_does_not_keep_jobs_from_ending(
    build_house: Callable[..., House], journal_request: type[Any], eventually: Eventually, receiver: Receiver
) -> None:
    house = build_house(ROOT / "tests" / "houses" / "journal", **SETTINGS, max_queue_length=3)
    async with house.backends() as backends:
        site = Site(house, backends, journal_request, eventually)
        jobs = [await site.submit(receiver.url) for _ in range(3)]
        house.start()
        await site.until(lambda: {data(call)["id"] for call in receiver.calls} == {job.id for job in jobs})


async def test_no_worker_calls_inside_the_network_unless_that_is_said(site: Site, receiver: Receiver) -> None:
    """The name is on the list, and where it leads to is found out when it is called."""
    job = await site.submit(f"https://localhost:{receiver.port}/")
    site.house.start(ESSAIM_CALLBACK_PRIVATE_ADDRESSES="false")
    (letter,) = await site.until(site.backends.queue.dead_letters)
    assert re.search(r"localhost is at (127\.0\.0\.1|::1), which may not be called", letter.reason)
    assert (await site.service.get(job.id)).state is State.SUCCEEDED
    assert receiver.connections == 0


async def test_a_host_that_is_no_longer_on_the_list_is_not_called(site: Site, receiver: Receiver) -> None:
    await site.submit(receiver.url)
    site.house.start(ESSAIM_CALLBACK_HOSTS="hooks.example.com")
    (letter,) = await site.until(site.backends.queue.dead_letters)
    assert "is not among those that may be called" in letter.reason
    assert receiver.connections == 0


@pytest.mark.parametrize(("name", "heard"), [("localhost", True), ("other.example", False)])
async def test_the_receivers_certificate_must_be_that_of_its_host(
    site: Site, tmp_path: Path, name: str, heard: bool
) -> None:
    """The connection goes to the address that was looked at, and the certificate is still that of the name."""
    receiver = Receiver()
    async with receiver.serve(tls=certified(tmp_path, name)):
        site.house.start(SSL_CERT_FILE=str(tmp_path / "cert.pem"))
        await site.submit(f"https://localhost:{receiver.port}/")
        await site.until(lambda: re.search(r"callback\.(delivered|delayed).*", site.house.logs()))
    assert bool(receiver.calls) is heard, site.house.logs()
    assert heard or "CERTIFICATE_VERIFY_FAILED" in site.house.logs()


async def test_who_calls_is_told_to_the_host_it_asked_for(site: Site, receiver: Receiver) -> None:
    site.house.start()
    await site.submit(f"http://localhost:{receiver.port}/x")
    await site.until(lambda: receiver.calls)
    assert receiver.calls[0].headers["host"] == f"localhost:{receiver.port}"


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


def certified(folder: Path, name: str) -> ssl.SSLContext:
    """A server that has a certificate for this name, which it made itself."""
    if shutil.which("openssl") is None:
        absent("no openssl to make a certificate with")
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    of = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *files, *of]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


DIES_AT_THE_END = """
import asyncio, os, signal, sys
from dataclasses import replace
from jobs.backends import open_backends
from jobs.model import Problem
from jobs.settings import load_settings
from worker.consumer import Consumer

class DyingStore:
    def __init__(self, store):
        self.store = store
    def __getattr__(self, name):
        return getattr(self.store, name)
    async def finish(self, claim, outcome):
        if isinstance(outcome, Problem):
            await self.die(self.store.finish(claim, outcome))
        return await self.store.finish(claim, outcome)
    async def complete(self, job_id, run, outcome):
        await self.die(self.store.complete(job_id, run, outcome))
    async def conclude(self, claim, result):
        if sys.argv[1] == "before" or await self.store.conclude(claim, result):
            os.kill(os.getpid(), signal.SIGKILL)
        return False
    async def die(self, end):
        if sys.argv[1] == "after":
            await end
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    settings = load_settings()
    async with open_backends(settings) as backends:
        await Consumer(replace(backends, store=DyingStore(backends.store)), settings, "dying", asyncio.Event()).run()

asyncio.run(main())
"""
