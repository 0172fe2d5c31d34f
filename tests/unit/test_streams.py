"""How often a job is looked at while somebody waits for it, by a clock that moves with each rest."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest
from fastapi import Request

from essaim.jobs.model import Job, State
from essaim_api import streams
from essaim_api.context import AppContext

JOB = Job("j", "ada", "v1", {}, "f", datetime(2026, 1, 31, tzinfo=UTC))


class FakeContext:
    """What `streams` needs of an `AppContext`, and the clock. `looks`: when. `states`: which the job has, from when on."""

    def __init__(self, states: dict[float, State]) -> None:
        self.now = 0.0
        self.looks: list[float] = []
        self.stream_seconds = 60.0
        self._states = states
        self.settings = self.service = self

    def monotonic(self) -> float:
        return self.now

    async def drains_within(self, seconds: float) -> bool:
        self.now += seconds
        return False

    async def is_disconnected(self) -> bool:
        return False

    async def get(self, _: str) -> Job:
        self.looks.append(self.now)
        past = [state for at, state in self._states.items() if at <= self.now]
        return replace(JOB, state=past[-1]) if past else JOB


def fake(monkeypatch: pytest.MonkeyPatch, states: dict[float, State]) -> FakeContext:
    found = FakeContext(states)
    monkeypatch.setattr(streams, "time", found)
    return found


async def test_a_stream_looks_at_a_job_more_seldom_the_longer_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    context = fake(monkeypatch, {})
    assert [event async for event in streams.events(cast("AppContext", context), JOB, None)]
    pauses = [after - before for before, after in zip([0.0, *context.looks], context.looks, strict=False)]
    assert pauses[0] == streams.LOOK_SECONDS
    assert pauses == sorted(pauses)
    assert pauses[-1] == streams.LONGEST_LOOK_SECONDS
    assert len(context.looks) < 60 / streams.LOOK_SECONDS / 2


async def test_a_change_is_followed_closely_again(monkeypatch: pytest.MonkeyPatch) -> None:
    context = fake(monkeypatch, {50: State.RUNNING, 51: State.SUCCEEDED})
    seen = [event async for event in streams.events(cast("AppContext", context), JOB, None)]
    assert sum(b"event: " in event for event in seen) == 3
    assert context.looks[-1] < 51 + 2 * streams.LOOK_SECONDS


async def test_who_waits_for_an_end_hears_of_a_quick_one_at_once_and_of_a_late_one_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for end in (0.05, 1, 10, 50):
        context = fake(monkeypatch, {end: State.SUCCEEDED})
        job = await streams.until_ended(cast("AppContext", context), cast("Request", context), JOB, 60)
        assert job.state is State.SUCCEEDED
        assert context.now - end <= max(0.25, end * streams.QUIET_SHARE)
    assert len(context.looks) < 50 / streams.LOOK_SECONDS / 2
