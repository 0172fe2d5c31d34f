"""Calls that come together share a round trip, and nothing else."""

import asyncio
from collections.abc import Sequence

import pytest

from essaim.errors import JobError, UnavailableError
from essaim.jobs.adapters.batches import MOST, Batches


class Line:
    """Answers each number with its double when `open` is set, and remembers what came together."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.open = asyncio.Event()
        self.error: Exception | None = None

    async def send(self, numbers: Sequence[int]) -> Sequence[int | BaseException]:
        self.sent.append(list(numbers))
        await self.open.wait()
        if self.error is not None:
            raise self.error
        if 13 in numbers:
            raise JobError("13 is too large")
        return [ValueError("7") if number == 7 else 2 * number for number in numbers]


async def test_one_alone_is_sent_at_once_and_the_others_follow_together() -> None:
    line = Line()
    batches = Batches(line.send)
    asking = [asyncio.create_task(batches.ask(number)) for number in range(5)]
    await asyncio.sleep(0)
    asking += [asyncio.create_task(batches.ask(number)) for number in range(5, 7)]
    await asyncio.sleep(0)
    line.open.set()
    assert await asyncio.gather(*asking) == [0, 2, 4, 6, 8, 10, 12]
    assert [number for batch in line.sent for number in batch] == list(range(7))
    assert len(line.sent) == 2
    assert await batches.ask(8) == 16
    assert line.sent[-1] == [8]


async def test_a_batch_is_bounded() -> None:
    line = Line()
    line.open.set()
    batches = Batches(line.send)
    await asyncio.gather(*(batches.ask(20) for _ in range(2 * MOST + 1)))
    assert [len(batch) for batch in line.sent] == [MOST, MOST, 1]


async def test_each_gets_its_own_error() -> None:
    line = Line()
    line.open.set()
    batches = Batches(line.send)
    answers = await asyncio.gather(*(batches.ask(number) for number in (6, 7, 8)), return_exceptions=True)
    assert (answers[0], answers[2]) == (12, 16)
    assert isinstance(answers[1], ValueError)


async def test_what_is_impossible_with_one_is_tried_without_it() -> None:
    line = Line()
    line.open.set()
    batches = Batches(line.send)
    answers = await asyncio.gather(*(batches.ask(number) for number in (12, 13, 14)), return_exceptions=True)
    assert (answers[0], answers[2]) == (24, 28)
    assert isinstance(answers[1], JobError)


async def test_an_outage_is_everybodys() -> None:
    line = Line()
    line.open.set()
    line.error = UnavailableError("down")
    batches = Batches(line.send)
    answers = await asyncio.gather(*(batches.ask(number) for number in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [UnavailableError] * 3
    assert len(line.sent) == 1
    line.error = None
    assert await batches.ask(1) == 2


async def test_a_caller_who_leaves_takes_nobody_along() -> None:
    line = Line()
    batches = Batches(line.send)
    leaving, staying = asyncio.create_task(batches.ask(1)), asyncio.create_task(batches.ask(2))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    line.open.set()
    assert await staying == 4
