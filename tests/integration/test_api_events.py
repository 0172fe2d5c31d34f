"""A job as server-sent events: told as it changes, resumed, and ended by either side."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.conftest import eventually
from tests.integration.conftest import Serving, Site


@dataclass(frozen=True)
class Told:
    """One event."""

    name: str
    id: str
    job: dict[str, Any]


@asynccontextmanager
async def following(site: Site, job_id: str, last_id: str | None = None) -> AsyncIterator[tuple[httpx.Response, Any]]:
    """The open stream: its response, and a function that reads the next event; None at the end."""
    headers = {} if last_id is None else {"last-event-id": last_id}
    async with site.http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as response:
        lines = response.aiter_lines()

        async def next_event() -> Told | None:
            fields: dict[str, str] = {}
            async for line in lines:
                name, _, value = line.partition(": ")
                fields[name] = value
                if not line and "data" in fields:
                    return Told(fields["event"], fields["id"], json.loads(fields["data"]))
            return None

        yield response, next_event


async def test_a_stream_tells_each_change_and_ends_with_the_job(site: Site) -> None:
    job_id = await site.submit()
    async with following(site, job_id) as (response, next_event):
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        first = await next_event()
        assert (first.name, first.job["id"], first.job["state"]) == ("state", job_id, "queued")

        claimed = await site.claim(job_id)
        await site.backends.store.plan(job_id, 1, [b"{}"])
        assert ((told := await next_event()).name, told.job["state"]) == ("state", "running")
        await site.backends.store.beat(claimed.claim, 0.5)
        while (told := await next_event()).job["progress"] != 0.5:
            assert told.name in ("state", "progress")
        assert told.name == "progress"

        await site.backends.store.finish(claimed.claim, b"{}")
        await site.backends.store.complete((await site.claim(job_id)).claim, b"{}")
        while (told := await next_event()).name == "progress":
            pass
        assert (told.name, told.job["state"], told.job["progress"]) == ("end", "succeeded", 1.0)
        assert await next_event() is None


async def test_a_resumed_stream_tells_only_what_is_new(site: Site) -> None:
    job_id = await site.submit()
    async with following(site, job_id) as (_, next_event):
        seen = await next_event()
    async with following(site, job_id, seen.id) as (_, next_event):
        await site.http.delete(f"/v1/jobs/{job_id}")
        assert ((told := await next_event()).name, told.job["state"]) == ("end", "cancelled")
    async with following(site, job_id, seen.id) as (_, next_event):
        assert await next_event() == told


async def test_a_client_that_has_seen_the_end_is_told_to_stay_away(site: Site) -> None:
    job_id = await site.submit()
    await site.http.delete(f"/v1/jobs/{job_id}")
    async with following(site, job_id) as (_, next_event):
        told = await next_event()
    async with following(site, job_id, told.id) as (response, _):
        assert response.status_code == 204


async def test_an_id_that_is_none_of_ours_begins_anew(site: Site) -> None:
    job_id = await site.submit()
    async with following(site, job_id, "none of ours") as (_, next_event):
        assert (await next_event()).name == "state"


async def test_a_stream_ends_itself_and_says_when_to_come_back(serving: Serving) -> None:
    async with serving(stream_seconds=0.3) as site:
        job_id = await site.submit()
        answer = await site.http.get(f"/v1/jobs/{job_id}/events")
        assert "retry: 1000\n" in answer.text
        assert answer.text.count("event: state\n") == 1


async def test_a_client_that_goes_away_is_not_looked_after(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "essaim")
    job_id = await site.submit()
    async with following(site, job_id) as (_, next_event):
        await next_event()
        assert not _answered(caplog, job_id)
    await eventually(lambda: _answered(caplog, job_id))
    assert "http.failed" not in caplog.messages


async def test_a_client_that_waits_no_longer_is_not_looked_after(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "essaim")
    body = b'{"text":"a","words":["a"]}'
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nPrefer: wait=60\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    await eventually(lambda: "job.submitted" in caplog.messages)
    writer.close()
    await eventually(lambda: "http.answered" in caplog.messages)


async def test_streams_and_waits_end_when_the_server_leaves(serving: Serving) -> None:
    async with serving(stream_seconds=3600, max_wait_seconds=3600) as site:
        job_id = await site.submit()
        async with following(site, job_id) as (_, next_event):
            await next_event()
            waiting = asyncio.create_task(
                site.http.post("/v1/jobs", json={"text": "a", "words": ["a"]}, headers={"prefer": "wait=3600"})
            )
            while len((await site.http.get("/v1/jobs")).json()["jobs"]) < 2:
                await asyncio.sleep(0.01)
            site.server.leave()
            assert await next_event() is None
        assert (await waiting).json()["state"] == "queued"


def _answered(caplog: pytest.LogCaptureFixture, job_id: str) -> bool:
    paths = [getattr(record, "fields", {}).get("path") for record in caplog.records if record.msg == "http.answered"]
    return f"/v1/jobs/{job_id}/events" in paths
