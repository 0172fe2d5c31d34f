"""Being told when a job ends, where the receiver is down or refuses, or the worker is killed around it."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from essaim.jobs.model import State
from tests.integration.callbacks.conftest import Site, data, on_services
from tests.receiver import Receiver


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
        await site.logged("callback.delivered")
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
        await site.logged("callback.delivered")
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
    await site.logged("callback.given_up")
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
        cwd=site.house.folder,
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
    await site.logged("did not answer within 10 seconds")


DIES_AT_THE_END = """
import asyncio, os, signal, sys
from dataclasses import replace
from essaim.jobs.backends import open_backends
from essaim.jobs.model import Problem
from essaim.jobs.settings import load_settings
from essaim_worker.consumer import Consumer

class DyingStore:
    def __init__(self, store):
        self.store = store
    def __getattr__(self, name):
        return getattr(self.store, name)
    async def finish(self, claim, outcome):
        if isinstance(outcome, Problem):
            await self.die(self.store.finish(claim, outcome))
        return await self.store.finish(claim, outcome)
    async def complete(self, claim, outcome):
        await self.die(self.store.complete(claim, outcome))
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
