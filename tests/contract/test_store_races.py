"""What the job store promises when calls race."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from essaim.errors import LeaseLostError
from essaim.jobs.model import Busy, Claimed, Job, Problem, State
from essaim.jobs.ports import JobStore

NewJob = Callable[..., Job]
Planned = Callable[..., Awaitable[Job]]
Claiming = Callable[..., Awaitable[Claimed]]
Eventually = Callable[..., Awaitable[Any]]
OpenStore = Callable[..., AbstractAsyncContextManager[JobStore]]

WRONG = Problem("exception", "no")


async def test_of_many_claimants_one_gets_the_task(open_store: OpenStore, planned: Planned, new_job: NewJob) -> None:
    job = await planned()
    async with open_store() as first, open_store() as second:
        unplanned = await first.submit(new_job())
        for job_id in (job.id, unplanned.id):
            answers = await asyncio.gather(
                *((first, second)[number % 2].claim(job_id, 0, f"worker-{number}") for number in range(20))
            )
            assert Counter(type(answer) for answer in answers) == {Claimed: 1, Busy: 19}
            assert (await first.tasks(job_id))[0].attempts == 1


async def test_of_many_submissions_one_is_stored(open_store: OpenStore, new_job: NewJob) -> None:
    job = new_job()
    async with open_store() as first, open_store() as second:
        submitted = [new_job(id=job.id, owner=f"owner-{number}") for number in range(20)]
        stored = await asyncio.gather(
            *((first, second)[number % 2].submit(one) for number, one in enumerate(submitted))
        )
        assert all(one == stored[0] for one in stored)
        assert stored[0] in submitted
        assert (await first.list()).jobs == [stored[0]]


async def test_of_two_plans_one_is_the_plan(open_store: OpenStore, new_job: NewJob) -> None:
    async with open_store() as first, open_store() as second:
        for _ in range(5):
            job = await first.submit(new_job())
            size, same = await asyncio.gather(first.plan(job.id, 1, [b"a"] * 3), second.plan(job.id, 1, [b"b"] * 5))
            assert size == same
            claims = [await first.claim(job.id, number, "worker") for number in range(size)]
            inputs = [claimed.input for claimed in claims if isinstance(claimed, Claimed)]
            assert inputs in ([b"a"] * 3, [b"b"] * 5)
            assert len(await first.tasks(job.id)) == size


async def test_a_job_is_merged_though_its_tasks_end_together(open_store: OpenStore, planned: Planned) -> None:
    async with open_store() as first, open_store() as second:
        for _ in range(10):
            job = await planned(6)
            claims = [await first.claim(job.id, number, "worker") for number in range(6)]
            merges = await asyncio.gather(
                *(
                    (first, second)[claimed.claim.number % 2].finish(claimed.claim, b"1")
                    for claimed in claims
                    if isinstance(claimed, Claimed)
                )
            )
            assert any(merges)
            assert (await first.get(job.id)).tasks_ended == 6
            merge = await first.claim(job.id, 0, "worker")
            assert isinstance(merge, Claimed)
            completions = await asyncio.gather(
                first.complete(merge.claim, b"first"),
                second.complete(merge.claim, b"second"),
                first.complete(merge.claim, WRONG),
            )
            assert sum(completions) == 1
            won = await first.get(job.id)
            assert (won.result, won.problem) == [(b"first", None), (b"second", None), (None, WRONG)][
                completions.index(True)
            ]


async def test_a_finish_or_a_cancel_wins_and_both_agree(open_store: OpenStore, planned: Planned) -> None:
    async with open_store() as first, open_store() as second:
        for _ in range(20):
            job = await planned()
            claimed = await first.claim(job.id, 0, "worker")
            assert isinstance(claimed, Claimed)
            finished, cancelled = await asyncio.gather(
                first.finish(claimed.claim, b"1"), second.cancel(job.id), return_exceptions=True
            )
            assert isinstance(cancelled, Job)
            assert cancelled.state is State.CANCELLED
            (task,) = await first.tasks(job.id)
            if finished is True or finished is False:
                assert task.state is State.SUCCEEDED
            else:
                assert isinstance(finished, LeaseLostError)
                assert task.state is State.CANCELLED


async def test_a_completion_or_a_cancel_wins_and_both_agree(open_store: OpenStore, planned: Planned) -> None:
    async with open_store() as first, open_store() as second:
        for _ in range(20):
            job = await planned()
            claimed = await first.claim(job.id, 0, "worker")
            assert isinstance(claimed, Claimed)
            await first.finish(claimed.claim, b"1")
            merge = await first.claim(job.id, 0, "worker")
            assert isinstance(merge, Claimed)
            completed, cancelled = await asyncio.gather(first.complete(merge.claim, b"1"), second.cancel(job.id))
            state = State.SUCCEEDED if completed else State.CANCELLED
            assert cancelled.state is state
            found = await first.get(job.id)
            assert (found.state, found.result) == (state, b"1" if completed else None)


async def test_a_job_is_revived_once_though_many_ask(open_store: OpenStore, planned: Planned) -> None:
    job = await planned()
    async with open_store() as first, open_store() as second:
        claimed = await first.claim(job.id, 0, "worker")
        assert isinstance(claimed, Claimed)
        await first.finish(claimed.claim, WRONG)
        revived = await asyncio.gather(
            *((first, second)[number % 2].revive(job.id, 2, job.release) for number in range(10))
        )
        assert {(one.state, one.run) for one in revived} == {(State.QUEUED, 2)}
        assert (await first.get(job.id)).run == 2
        answers = await asyncio.gather(*(second.claim(job.id, 0, f"worker-{number}") for number in range(5)))
        attempts = [answer.claim.attempt for answer in answers if isinstance(answer, Claimed)]
        assert attempts == [2]
