"""A worker whose clock was wrong: what it wrote with times in the future ends like anything else."""

from pathlib import Path

from essaim.jobs.model import Depth
from tests.conftest import eventually
from tests.integration.worker.conftest import Site, steps
from tests.servers import absent


def ten_minutes_ahead() -> dict[str, str]:
    """The environment of a process whose wall clock is ahead, by Debian's libfaketime."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        absent("libfaketime")
    return {"LD_PRELOAD": str(library), "FAKETIME": "+600s", "DONT_FAKE_MONOTONIC": "1"}


async def test_a_worker_that_was_ten_minutes_ahead_and_is_killed_delays_nobody(site: Site) -> None:
    """As if the clock had been set back by ten minutes and then the worker killed."""
    ahead = site.house.start(**ten_minutes_ahead())
    job, journal = await site.submit(steps=60, step_seconds=0.02)
    await eventually(lambda: len(steps(journal)) > 10)
    ahead.kill()
    site.house.start()
    assert (await site.result(job))["total"] == sum(range(60))
    assert len({line.split()[1] for line in steps(journal)}) == 2
    await eventually(lambda: site.has_workers(1))
    await eventually(lambda: idle(site))


async def idle(site: Site) -> bool:
    return await site.backends.queue.depth() == Depth(ready=0, in_flight=0)
