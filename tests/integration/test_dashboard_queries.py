"""Every query of every dashboard finds something in what a run leaves behind the real collector, and says what happened."""

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import BuildHouse, eventually
from tests.dashboard_queries import boards, panels, queries
from tests.integration.eventful_run import ENDS, Run, eventful_run
from tests.integration.loki_server import LOKI_URL
from tests.integration.otlp_receiver import Collected
from tests.integration.real_loki import STEP, RealLoki, real_loki
from tests.logql import missing, parse, stored


@pytest.fixture
async def run(build_house: BuildHouse, collected: tuple[str, Collected], tmp_path: Path) -> Run:
    return await eventful_run(build_house, collected, tmp_path)


@pytest.fixture
async def loki() -> AsyncIterator[RealLoki]:
    """It gets the same records as `collected`, see `running`."""
    if not LOKI_URL:
        pytest.skip(f"no Loki: {len(queries())} queries of {', '.join(boards())} were not run")
    async with real_loki() as found:
        yield found


async def test_every_query_of_every_dashboard_finds_what_a_run_has_left(run: Run) -> None:
    """A query about a job finds it in one of the jobs."""
    lines = [stored(one) for one in run.logs]
    asked = [queries(job=job, release=run.release) for job in run.jobs]
    for same in zip(*asked, strict=True):
        assert any(not missing(tree, lines) for tree in parse(same)), same[0]


async def test_every_query_of_every_dashboard_returns_data(loki: RealLoki, run: Run) -> None:
    for same in zip(*[queries(job=job, release=run.release) for job in run.jobs], strict=True):

        async def any_answered(same: tuple[str, ...] = same) -> bool:
            return any([await loki.answers(query, run.begin) for query in same])

        await eventually(any_answered)


async def test_single_numbers_are_those_of_what_happened(loki: RealLoki, run: Run) -> None:
    async def shown(board: str, **values: str) -> dict[str, float | None]:
        span = f"{(run.end - run.begin) // 10**6 + 2}ms"
        asked = panels(board, "stat", release=run.release, span=span, **values)
        return {title: await loki.number(query, run.end + 10**6) for title, (query,) in asked.items()}

    seconds = [run.said(end, "seconds", job=job)[0] for job, end in zip(run.jobs, ENDS, strict=True)]
    quick, slow = sorted(seconds[:2])
    p95 = pytest.approx(quick + 0.95 * (slow - quick))
    overview = await shown("overview")
    del overview["Workers now"]  # of all releases: of what else has lately been tested too
    assert overview == {
        "Accepted": 5,
        "Succeeded": 2,
        "Failed": 2,
        "Attempts that failed": 4,
        "Time to result, p95": p95,
    }
    assert await shown("canary") == {f"{run.release}: failed jobs": 0.5, f"{run.release}: time to result, p95": p95}
    # Claimed, finished, failed, stopped. The first attempt of the first job has only found that there are two tasks.
    attempts = [(3, 2, 0, 0), (2, 1, 1, 0), (1, 0, 1, 0), (2, 0, 2, 0), (1, 0, 0, 1)]
    for job, lasted, (claimed, finished, failed, stopped) in zip(run.jobs, seconds, attempts, strict=True):
        assert await shown("job", job=job) == {
            "Time to its end": lasted,
            "Waited for a worker": min(run.said("task.claimed", "waited", job=job)),
            "Attempts": claimed,
            "Finished tasks": finished,
            "Attempts that failed": failed,
            "Attempts stopped early": stopped,
        }


async def test_bars_lose_nothing_and_count_nothing_twice(loki: RealLoki, run: Run) -> None:
    async def sums(board: str, title: str) -> list[dict[tuple[str, ...], float]]:
        asked = panels(board, "timeseries", release=run.release, span=f"{STEP}s")[title]
        plots = [await loki.plot(query, run.begin, run.end) for query in asked]
        return [{labels: sum(points.values()) for labels, points in plot.items()} for plot in plots]

    name = run.release
    assert await sums("canary", f"{name}: jobs") == [
        {(name,): 5},
        {("job.succeeded",): 2, ("job.failed",): 2, ("job.cancelled",): 1},
    ]
    assert await sums("canary", f"{name}: failures by kind") == [
        {("job-error",): 1, ("attempts-exhausted",): 1},
        {("task.failed",): 3, ("task.rejected",): 1},
        {("message.parked",): 1},
    ]
    assert await sums("canary", f"{name}: warnings and errors") == [{("WARNING",): 3, ("ERROR",): 1}]
    assert await sums("scaling", "Workers that came and went") == [
        {("worker.started",): 1, ("worker.draining",): 1, ("worker.left",): 1}
    ]
    (ended,) = await sums("overview", "Ended")
    assert {labels: count for labels, count in ended.items() if name in labels} == {
        ("job.succeeded", name): 2,
        ("job.failed", name): 2,
        ("job.cancelled", name): 1,
    }


async def test_lines_show_the_queue_the_formula_and_the_workers(loki: RealLoki, run: Run) -> None:
    async def plots(board: str, title: str) -> list[dict[tuple[str, ...], dict[float, float]]]:
        asked = panels(board, "timeseries", release=run.release, span=f"{STEP}s")[title]
        return [await loki.plot(query, run.begin, run.end) for query in asked]

    waiting, running, formula, wanted, workers = await plots("scaling", "Queue, formula and workers")
    ready, busy = waiting[run.release,], running[run.release,]
    assert max(ready.values()) >= 1
    assert max(busy.values()) >= 1
    assert formula == {(run.release,): {at: busy[at] + math.ceil(ready[at] / 5) for at in ready}}
    assert {labels: max(points.values()) for labels, points in wanted.items()} == {
        ("essaim-worker-dev",): 1,
        ("keda-hpa-essaim-worker-dev",): 7,
    }
    assert [set(points.values()) for points in workers.values()] == [{1}]
    (waited,) = await plots("scaling", "How long tasks had waited")
    assert max(waited[run.release,].values()) == max(run.said("task.claimed", "waited", attempt=1))
    (share,) = await plots("canary", "Share of the requests")
    assert [points[max(points)] for points in share.values()] == [1]  # not the 5 of before
