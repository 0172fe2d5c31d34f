"""What a rollout reads of jobs, from a real API: those of one release, of one window, over all pages, each at its end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from essaim.errors import UnavailableError
from essaim.jobs.model import Job, Problem
from essaim.rollout.client import PAGE, Clock, Remote, RemoteError, open_remote
from essaim.rollout.job_checks import Window
from tests.integration.conftest import Site


@pytest.fixture
async def remote(site: Site) -> AsyncIterator[Remote]:
    async with open_remote(str(site.http.base_url), Clock(), patience=1.0) as remote:
        yield remote


async def fail(site: Site, job: str) -> None:
    claimed = await site.claim(job)
    await site.backends.store.plan(claimed.claim.job_id, claimed.claim.run, [b"{}"])
    await site.backends.store.finish(claimed.claim, Problem("job-failed", "no"))


async def test_a_look_counts_what_was_submitted_in_its_window_and_how_it_ended(site: Site, remote: Remote) -> None:
    await site.succeed(await site.submit())
    await asyncio.sleep(0.01)
    window = Window("dev", datetime.now(UTC))
    good, bad, gone, running, _ = [await site.submit() for _ in range(5)]
    await site.succeed(good)
    await fail(site, bad)
    await remote.cancel(gone)
    await site.claim(running)
    seen = await window.read(remote)
    assert (seen.outcomes.succeeded, seen.outcomes.failed) == (1, 1)
    assert len(seen.outcomes.seconds) == len(seen.outcomes.running) == 1
    assert seen.waiting > 0
    assert (await Window("other", window.since).read(remote)).outcomes.ended == 0


async def test_a_job_is_counted_once_and_when_it_has_ended_however_many_looks_and_pages(
    site: Site, remote: Remote
) -> None:
    window = Window("dev", datetime.now(UTC))
    jobs = [await site.submit() for _ in range(PAGE + 20)]
    for job in jobs[: PAGE // 2]:
        await site.succeed(job)
    for _ in range(2):
        assert (await window.read(remote)).outcomes.succeeded == PAGE // 2
    for job in jobs[PAGE // 2 :]:
        await site.succeed(job)
    for _ in range(2):
        assert (await window.read(remote)).outcomes.succeeded == PAGE + 20


async def test_a_job_that_was_retried_waits_since_then(site: Site, remote: Remote) -> None:
    """Or one that a rollout gives back to the old release would be taken for one that no worker ever comes for."""
    created = datetime.now(UTC) - timedelta(hours=1)
    job = Job(str(uuid4()), "ann", "dev", {"words": ["a"], "text": "a"}, "f" * 64, created)
    begun = await site.backends.store.begin(job, "worker")
    assert begun is not None
    await site.backends.store.finish(begun.claim, Problem("job-error", "no"))
    await site.backends.store.revive(job.id, 2, "dev")
    seen = await Window("dev", created).read(remote)
    assert 0 < seen.waiting < 3600


async def test_a_job_that_runs_again_has_not_ended(site: Site, remote: Remote) -> None:
    window = Window("dev", datetime.now(UTC))
    job = await site.submit()
    await fail(site, job)
    assert (await window.read(remote)).outcomes.failed == 1
    await site.http.post(f"/v1/jobs/{job}/retry")
    assert (await window.read(remote)).outcomes.failed == 0


async def test_the_clock_is_that_of_whoever_dates_the_jobs(site: Site, remote: Remote) -> None:
    remote.clock.ahead = timedelta(hours=1)
    await remote.get("/v1/stats")
    assert abs(remote.clock.now() - datetime.now(UTC)) < timedelta(seconds=2)


async def test_a_refusal_is_a_sentence_and_silence_is_waited_for(remote: Remote) -> None:
    with pytest.raises(RemoteError, match="answers 404 to GET /v1/jobs/") as refused:
        await remote.job("0199f3a2-7c1e-7b54-a1f0-3d5c9e8b2a10")
    assert refused.value.status == 404
    async with open_remote("http://127.0.0.1:9", Clock(), patience=0.1) as nobody:
        with pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:9 does not answer"):
            await nobody.get("/v1/stats")
