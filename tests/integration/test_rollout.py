"""Rollouts over two releases that really run: APIs, workers, one store. Only the Service is a stand-in."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from essaim.rollout.client import Site
from essaim.rollout.controller import Controller
from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.model import Phase, Plan, pause_rollout, resume_rollout
from essaim.rollout.phases import Observer
from essaim.rollout.record import Record
from essaim.rollout.releases import Elsewhere
from essaim.rollout.reporting import Line, Reporter
from essaim.rollout.service import split_traffic
from essaim.rollout.verdict import Rules
from tests.conftest import BuildHouse, House
from tests.two_releases import TwoReleases, start

Build = BuildHouse


def plan(**changed: Any) -> Callable[[dict[str, Any]], Plan]:
    values: dict[str, Any] = {
        "steps": (30, 100),
        "rules": Rules(min_jobs=20, max_slowdown=0.5),
        "timeout": 60.0,
        **changed,
    }
    return lambda service: Plan("v1", "v2", "v2", **values)


def controller(place: TwoReleases, holder: str = "ann", lines: list[Line] | None = None, **options: Any) -> Controller:
    reporter = Reporter(lambda line: print(line.percent, line.sentence) or (lines is not None and lines.append(line)))
    observer = Observer(Elsewhere(), Site(patience=5.0), **options)
    return Controller(Record(place.service), observer, holder, reporter, pause=0.2)


@pytest.fixture
def build(build_house: Build) -> House:
    return build_house("release")


async def test_a_good_release_takes_over(build: House) -> None:
    place = await start(build, {})
    async with place.load():
        control = controller(place)
        await control.begin("one", plan())
        ended = await control.run()
        assert (ended.phase, ended.done) == (Phase.PROMOTED, True)
    assert place.service.content["spec"]["traffic"] == [{"revisionName": "essaim-v2", "percent": 100}]
    states = await place.states()
    assert not place.refused
    assert {state for state, _ in states.values()} == {"succeeded"}
    assert {release for _, release in states.values()} == {"v1", "v2"}


async def test_jobs_that_fail_take_it_back_and_run_again_on_the_old_release(build: House) -> None:
    place = await start(build, {}, ESSAIM_TEST_FAILING="40")
    async with place.load():
        control = controller(place, request={"number": 0})  # a first job that hides it
        await control.begin("one", plan(requeue_failed=True))
        ended = await control.run()
    assert (ended.phase, ended.done) == (Phase.ROLLED_BACK, True)
    assert place.service.content["spec"]["traffic"] == [{"revisionName": "essaim-v1", "percent": 100}]
    states = await place.states()
    assert not place.refused
    assert {state for state, _ in states.values()} == {"succeeded"}


@pytest.mark.parametrize(
    ("gone", "failing", "end"),
    [
        ((), "0", None),
        ((), "100", "cannot do 5"),
        ((5,), "0", None),
        ((5,), "100", None),  # the example hides it, and its jobs will not
        ((5, 0), "0", "what 0 needs is gone; v1 fails it, too: name a file"),
    ],
)
async def test_a_first_job_that_the_old_release_fails_too_says_nothing(
    build: House, tmp_path: Path, gone: tuple[int, ...], failing: str, end: str | None
) -> None:
    """A copy of job 5, of which what it read may be gone; then the example, which is job 0."""
    for number in (5, 0):
        (tmp_path / str(number)).touch()
    build.environment["ESSAIM_TEST_INPUTS"] = str(tmp_path)
    place = await start(build, {}, ESSAIM_TEST_FAILING=failing)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(f"{place.urls['v1']}/v1/jobs", json={"number": 5}, headers={"Prefer": "wait=60"})
    assert answer.json()["state"] == "succeeded"
    for number in gone:
        (tmp_path / str(number)).unlink()
    control = controller(place)
    await control.begin("one", plan())
    running = asyncio.create_task(control.run())
    while not place.service.percent("v2") and not running.done():
        await asyncio.sleep(0.05)
    if end is None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert place.service.percent("v2") == 30
    else:
        ended = await running
        assert (ended.phase, place.service.percent("v2")) == (Phase.ROLLED_BACK, 0)
        assert end in ended.reason


async def test_jobs_that_take_longer_take_it_back(build: House) -> None:
    place = await start(build, {}, ESSAIM_TEST_SLOWDOWN="4")
    async with place.load(seconds=0.2):
        control = controller(place)
        await control.begin("one", plan())
        ended = await control.run()
    assert ended.phase is Phase.ROLLED_BACK
    assert "take" in ended.reason


async def test_workers_that_never_start_are_caught_by_time_and_no_request_has_gone_there(build: House) -> None:
    place = await start(build, {"v2": 0})
    async with place.load():
        control = controller(place)
        await control.begin("one", plan(timeout=2.0))
        ended = await control.run()
    assert ended.phase is Phase.ROLLED_BACK
    assert "is queued" in ended.reason
    assert {release for _, release in (await place.states()).values()} == {"v1"}
    assert all(entry.get("revisionName") != "essaim-v2" or not entry.get("percent") for entry in traffics(place))


async def test_a_revision_that_never_starts_is_caught_by_time(build: House) -> None:
    place = await start(build, {})
    place.service.never_ready.add("v2")
    place.service.content["spec"]["template"]["metadata"]["name"] = "essaim-v2"
    control = controller(place)
    await control.begin("one", plan(timeout=1.0))
    ended = await control.run()
    assert ended.phase is Phase.ROLLED_BACK
    assert place.service.percent("v1") == 100


async def test_results_that_differ_take_it_back_before_any_request_goes_there(build: House) -> None:
    place = await start(build, {}, ESSAIM_TEST_WRONG_BY="1")
    async with place.load():
        while len(place.accepted) < 5:
            await asyncio.sleep(0.05)
        control = controller(place)
        await control.begin("one", plan(shadow=3))
        ended = await control.run()
    assert ended.phase is Phase.ROLLED_BACK
    assert "came out differently" in ended.reason
    assert {release for _, release in (await place.states()).values()} == {"v1"}


@pytest.mark.parametrize("wrong_by", ["0", "1"])
async def test_a_job_whose_inputs_are_gone_says_nothing_about_the_new_release(
    build: House, tmp_path: Path, wrong_by: str
) -> None:
    for number in (0, 5, 6, 7):
        (tmp_path / str(number)).touch()
    build.environment["ESSAIM_TEST_INPUTS"] = str(tmp_path)
    place = await start(build, {}, ESSAIM_TEST_WRONG_BY=wrong_by)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for number in (5, 6, 7):
            await http.post(f"{place.urls['v1']}/v1/jobs", json={"number": number}, headers={"Prefer": "wait=60"})
    (tmp_path / "6").unlink()
    lines: list[Line] = []
    control = controller(place, lines=lines)
    await control.begin("one", plan(shadow=3))
    running = asyncio.create_task(control.run())
    while not place.service.percent("v2") and not running.done():
        await asyncio.sleep(0.05)
    assert running.done() == (wrong_by == "1")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    said = {
        "0": "2 of 3 jobs ran again, with the same results; 1 came out differently on the old release, too",
        "1": "came out differently: ",
    }
    assert any(said[wrong_by] in line.sentence for line in lines)


async def test_another_person_takes_it_up_where_it_was_left(build: House) -> None:
    place = await start(build, {})
    async with place.load():
        first = controller(place, "ann")
        await first.begin("one", plan())
        running = asyncio.create_task(first.run())
        while not place.service.percent("v2"):
            await asyncio.sleep(0.05)
        running.cancel()  # killed: it says nothing to anybody
        await asyncio.gather(running, return_exceptions=True)
        second = controller(place, "bob")
        with pytest.raises(RolloutRefusedError, match="ann is rolling out v2"):
            await second.take_up(takeover=False)
        with pytest.raises(RolloutRefusedError, match="is being rolled out"):
            await second.begin("two", plan())
        taken = await second.take_up(takeover=True)
        assert taken.phase is Phase.STEPPING
        ended = await second.run()
    assert ended.phase is Phase.PROMOTED
    with pytest.raises(RolloutRefusedError, match="with bob now"):
        await first.run()


def traffics(place: TwoReleases) -> list[dict[str, Any]]:
    """All entries that were ever asked for."""
    return [
        it
        for patch in place.service.seen
        for change in patch
        if change["path"] == "/spec/traffic"
        for it in change["value"]
    ]


async def test_paused_it_takes_no_step_forward_and_resumed_it_does(build: House) -> None:
    place = await start(build, {})
    lines: list[Line] = []
    async with place.load():
        control = controller(place, lines=lines)
        begun = await control.begin("one", plan())
        await control.record.change(lambda _, it: pause_rollout(it or begun, control.now(), "a person looks"))
        running = asyncio.create_task(control.run())
        while not any("paused, or else" in line.sentence for line in lines):
            await asyncio.sleep(0.05)
        assert place.service.percent("v2") == 0
        await control.record.change(lambda _, it: resume_rollout(it or begun, control.now(), "a person has looked"))
        assert (await running).phase is Phase.PROMOTED


async def test_a_split_that_somebody_has_changed_by_hand_is_not_judged(build: House) -> None:
    place = await start(build, {})
    lines: list[Line] = []
    control = controller(place, lines=lines)
    await control.begin("one", plan())
    async with place.load():
        running = asyncio.create_task(control.run())
        while not place.service.percent("v2"):
            await asyncio.sleep(0.05)
        by_hand = split_traffic(await place.service.read(), {"essaim-v1": 99, "essaim-v2": 1})
        await place.service.patch([{"op": "replace", "path": "/spec/traffic", "value": by_hand}])
        while not any("somebody gives v2 1 %" in line.sentence for line in lines):
            await asyncio.sleep(0.05)
        assert place.service.percent("v2") == 1
        again = split_traffic(await place.service.read(), {"essaim-v1": 70, "essaim-v2": 30})
        await place.service.patch([{"op": "replace", "path": "/spec/traffic", "value": again}])
        assert (await running).phase is Phase.PROMOTED


async def test_what_a_release_has_taken_but_can_no_longer_do_runs_on_the_old_one(build: House) -> None:
    """Its only worker is killed: what it was at, and what waits for it, would otherwise wait for ever."""
    place = await start(build, {})
    *_, worker = place.house.processes
    async with place.load(seconds=0.2):
        control = controller(place)
        await control.begin("one", plan(timeout=4.0, requeue_failed=True, steps=(50, 100)))
        running = asyncio.create_task(control.run())
        while not place.service.percent("v2"):
            await asyncio.sleep(0.05)
        worker.kill()
        ended = await running
    assert ended.phase is Phase.ROLLED_BACK
    assert "has waited" in ended.reason
    states = await place.states()
    assert {state for state, _ in states.values()} == {"succeeded"}
    assert not place.refused
