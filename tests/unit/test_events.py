"""Messages that an older or newer version has written."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from essaim.errors import MessageUnreadableError
from essaim.jobs.events import (
    JobEnded,
    JobRetried,
    JobSubmitted,
    Message,
    TaskReady,
    dump,
    from_event,
    load,
    state_event,
    to_event,
)
from essaim.jobs.model import Job, Problem, State

YESTERDAY: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "fixtures" / "messages_1.json").read_text())
JOB = Job(
    id="01950002-0000-7000-8000-000000000002",
    owner="ada",
    release="v1",
    request={"text": "a swarm of bees, a swarm", "words": ["swarm"]},
    fingerprint="0" * 64,
    created=datetime(2026, 3, 1, 12, 0, 2, tzinfo=UTC),
)
MEANT: list[Message] = [
    JobSubmitted(JOB),
    JobRetried("01950003-0000-7000-8000-000000000003", 2),
    TaskReady("01950004-0000-7000-8000-000000000004", 7),
]
ENDED = JobEnded("01950002-0000-7000-8000-000000000002", 3, datetime(2026, 3, 1, 12, 0, 4, tzinfo=UTC))
PAIRS = list(zip(YESTERDAY, MEANT, strict=True))


@pytest.mark.parametrize(("written", "meant"), PAIRS)
def test_what_version_1_wrote_is_read(written: dict[str, Any], meant: Message) -> None:
    assert from_event(load(json.dumps(written).encode())) == meant


@pytest.mark.parametrize(("written", "meant"), PAIRS)
def test_a_field_that_came_later_is_ignored(written: dict[str, Any], meant: Message) -> None:
    newer = {**written, "laterextension": "x", "data": {**written["data"], "later": {"of": "any kind"}}}
    assert from_event(load(json.dumps(newer).encode())) == meant


@pytest.mark.parametrize("written", YESTERDAY)
def test_a_higher_version_is_refused(written: dict[str, Any]) -> None:
    newer = {**written, "data": {**written["data"], "version": 2}}
    with pytest.raises(MessageUnreadableError, match="newer than this software"):
        from_event(load(json.dumps(newer).encode()))


@pytest.mark.parametrize("written", YESTERDAY)
def test_a_missing_field_is_named(written: dict[str, Any]) -> None:
    broken = {**written, "data": {"version": 1, "job_id": "x"}}
    with pytest.raises(MessageUnreadableError, match="KeyError"):
        from_event(load(json.dumps(broken).encode()))


def test_of_an_end_always_the_same_is_told() -> None:
    ended = replace(
        JOB, state=State.FAILED, run=2, problem=Problem("t", "d"), ended=datetime(2026, 3, 1, 13, tzinfo=UTC)
    )
    event = state_event(ended)
    assert dump(event) == dump(state_event(ended))
    assert (event.get_type(), event.get_id()) == ("essaim.job.failed", f"{JOB.id}/run/2/failed")
    assert not {"request", "owner", "callback"} & dict(event.get_data()).keys()


@pytest.mark.parametrize("meant", [*MEANT, JobSubmitted(replace(JOB, callback="https://x.example/")), ENDED])
def test_what_is_written_is_read(meant: Message) -> None:
    assert from_event(load(dump(to_event(meant, "v1")))) == meant
