"""How full the queue is, as it is said in the log."""

import asyncio
import logging
from pathlib import Path

import pytest

from essaim.jobs.backends import open_backends
from essaim.jobs.events import TaskReady, to_event
from essaim.jobs.settings import load_settings
from essaim.jobs.watching import watch
from tests.conftest import eventually


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, int]]:
    lines = [record.__dict__["fields"] for record in caplog.records if record.msg == "queue.depth"]
    return [(fields["ready"], fields["running"]) for fields in lines]


async def test_an_idle_process_says_again_and_again_that_it_lives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_backends(load_settings(data_dir=tmp_path)) as backends:
        watching = asyncio.create_task(watch(backends.queue, lambda: 3, every=0.01, quiet=0.05))
        await eventually(lambda: len(said(caplog)) >= 3)
        watching.cancel()
    assert set(said(caplog)) == {(0, 3)}


async def test_a_change_is_said_at_once_and_only_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with open_backends(load_settings(data_dir=tmp_path)) as backends:
        watching = asyncio.create_task(watch(backends.queue, lambda: 0, every=0.01, quiet=3600))
        await eventually(lambda: said(caplog))
        await backends.queue.publish([to_event(TaskReady("a-job", 0), "dev")])
        await eventually(lambda: len(said(caplog)) == 2)
        watching.cancel()
    assert said(caplog) == [(0, 0), (1, 0)]
