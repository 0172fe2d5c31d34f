"""The simulation runs as many workers as its autoscaler asks for: nothing is lost or done twice, clocks are in phase."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from math import inf
from random import Random
from typing import Any

import pytest

from essaim.autoscaler.policy import Policy, default_path, load
from essaim.planning.arrivals import Arrival
from essaim.planning.forecast import ClusterModel, Forecast
from essaim.planning.simulation import Simulation

OWN = load(default_path())
AWAKE = replace(OWN, min_replicas=4)


def model(**other: Any) -> ClusterModel:
    return ClusterModel(lambda: 1.0, handover=0.0, **other)


def told(policy: Policy, arrivals: Iterable[Arrival], **other: object) -> Forecast:
    return Simulation(policy, model(**other), arrivals, every=0.25).run()


def steps(forecast: Forecast) -> list[int]:
    return [count for count, _ in groupby(moment.replicas_desired or 0 for moment in forecast.moments)]


def burst(jobs: int, work: float = 2.0, at: float = 0.0) -> list[Arrival]:
    return [(at, (work,))] * jobs


def test_a_job_alone_waits_for_the_poll_and_the_start() -> None:
    forecast = told(OWN, [(0.5, (2.0,))])
    assert forecast.ended == [pytest.approx(1.0 + 1.0 + 2.0)]
    assert steps(forecast) == [0, 1, 0]


def test_a_worker_costs_from_being_wanted_until_it_has_left() -> None:
    forecast = told(OWN, [(0.5, (2.0,))], drain=0.5)
    last_seen_active = 3.0  # a poll later the job has ended
    end_of_cooldown = last_seen_active + OWN.cooldown_period + 1
    assert forecast.worker_seconds == pytest.approx(end_of_cooldown - 1.0 + 0.5)
    assert forecast.busy_seconds == pytest.approx(2.0)


@pytest.mark.parametrize("phase", [0.05, 4 / 15, 0.5, 0.8])
def test_sixty_short_tasks_go_as_they_went_on_a_real_keda(phase: float) -> None:
    """Measured: 1, 5, 10 workers, then none; with another phase of the management API's clock 8 or 9 instead of 10."""
    policy = replace(OWN, cooldown_period=10)
    forecast = Simulation(policy, model(shown_every=5.0), burst(60), phases=(0.0, phase)).run()
    first, second, third, *_, last = steps(forecast)
    assert (first, second, last) == (1, 5, 0)
    assert third in range(8, 11)
    assert max(forecast.ended) < inf


def test_the_same_arrivals_give_the_same_forecast() -> None:
    def once() -> Forecast:
        random = Random(1)
        return told(OWN, [(at / 3, (random.expovariate(0.5),)) for at in range(300)])

    assert once() == once()


@pytest.mark.parametrize("seed", range(12))
def test_all_work_is_done_exactly_once_however_often_it_is_handed_on(seed: int) -> None:
    """A policy that lets workers go at every look, so that most of them are busy when they must leave."""
    random = Random(seed)
    hasty = replace(OWN, formula=None, triggers=OWN.triggers[:1], cooldown_period=3, min_replicas=seed % 2)
    assert hasty.scale_down is not None
    hasty = replace(hasty, scale_down=replace(hasty.scale_down, window=0))
    arrivals = sorted(
        (random.uniform(0, 90), tuple(random.uniform(5, 40) for _ in range(random.choice([1, 1, 3]))))
        for _ in range(40)
    )
    forecast = told(hasty, arrivals, drain=random.uniform(0, 3), split=0.0, concurrency=1 + seed % 2)
    assert forecast.given_back > 0
    assert max(forecast.ended) < inf
    assert forecast.busy_seconds == pytest.approx(sum(sum(works) for _, works in arrivals))
    assert all(
        ended - arrived >= max(works) - 1e-9
        for arrived, ended, (_, works) in zip(forecast.arrived, forecast.ended, arrivals, strict=True)
    )


def test_a_task_that_is_handed_on_goes_on_where_it_was() -> None:
    """Two workers at first, one too many for KEDA and HPA; the one that goes has a task of 100 s in hand."""
    policy = replace(OWN, formula=None, triggers=OWN.triggers[:1], min_replicas=1)
    assert policy.scale_down is not None
    policy = replace(policy, scale_down=replace(policy.scale_down, window=0))
    simulation = Simulation(policy, model(drain=1.0), [(0.0, (100.0,)), (0.0, (20.0,))], workers=2)
    forecast = simulation.run()
    assert forecast.given_back == 1
    left_at = 15.0 + 1.0
    waited = 100.0 - left_at  # for the other worker, which has the longer task
    assert sorted(forecast.ended) == [pytest.approx(it) for it in (100.0, left_at + waited + 20.0 - left_at)]


def test_a_job_of_several_tasks_is_split_and_then_runs_side_by_side() -> None:
    forecast = Simulation(AWAKE, model(split=0.5), [(3.0, (2.0, 4.0, 6.0, 2.0))], workers=4).run()
    assert forecast.ended == [pytest.approx(3.0 + 0.5 + 6.0)]


def test_a_worker_takes_as_many_tasks_at_once_as_it_may() -> None:
    one = replace(OWN, min_replicas=1, max_replicas=1)
    for concurrency, end in ((1, 8.0), (2, 4.0), (4, 2.0)):
        forecast = Simulation(one, model(concurrency=concurrency), burst(4), workers=1).run()
        assert max(forecast.ended) == pytest.approx(end)


def test_what_the_management_api_shows_late_is_seen_late() -> None:
    """The formula wakes by AMQP at once, but pays for what is in flight only once HTTP has shown it."""
    now, late = (told(OWN, burst(60), shown_every=every) for every in (0.0, 5.0))
    seen_now, seen_late = (
        next(it.seconds for it in told_.moments if (it.replicas_desired or 0) == 0 and it.seconds > 20)
        for told_ in (now, late)
    )
    assert seen_now <= seen_late <= seen_now + 5.0


def test_time_that_runs_faster_in_the_autoscaler_brings_workers_sooner() -> None:
    plain, fast = told(OWN, burst(100)), told(OWN, burst(100), speed=5.0)
    five = [next(it.seconds for it in forecast.moments if it.replicas_desired == 5) for forecast in (plain, fast)]
    assert five == [pytest.approx(15.0, abs=0.3), pytest.approx(3.0, abs=0.3)]


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.9])
def test_the_hpa_looks_when_its_clock_says_so(phase: float) -> None:
    forecast = Simulation(OWN, model(), burst(100), phases=(0.0, phase), every=0.1).run()
    five = next(it.seconds for it in forecast.moments if it.replicas_desired == 5)
    assert five == pytest.approx(15 * (1 - phase), abs=0.11)


@pytest.mark.parametrize("phase", [0.03, 0.19, 0.33, 0.44, 0.59, 0.72])
def test_a_step_that_is_just_a_period_old_holds_up_no_other(phase: float) -> None:
    """From 5 to 10 in 15 s, wherever the clocks stand: the HPA may take 4 or double every 15 s, and looks every 15 s."""
    forecast = Simulation(OWN, model(), burst(300), phases=(0.2, phase), every=0.25).run()
    five, ten = (next(it.seconds for it in forecast.moments if it.replicas_desired == count) for count in (5, 10))
    assert ten - five == pytest.approx(15, abs=0.3)


def test_the_hpas_period_can_be_longer() -> None:
    forecast = Simulation(OWN, model(sync_seconds=16.0), burst(300), phases=(0.0, 0.5), every=0.25).run()
    five, ten = (next(it.seconds for it in forecast.moments if it.replicas_desired == count) for count in (5, 10))
    assert (five, ten - five) == (8.0, 16.0)


def test_it_can_be_cut_off() -> None:
    forecast = Simulation(OWN, model(), burst(100)).run(until=10.0)
    assert forecast.moments[-1].seconds == 10.0
    assert inf in forecast.ended


def test_a_simulation_that_never_empties_comes_to_an_end_when_its_jobs_have() -> None:
    policy = replace(OWN, min_replicas=5, idle_replicas=0)
    forecast = told(policy, burst(10))
    assert steps(forecast)[-1] == 0
    assert steps(told(replace(OWN, min_replicas=3), burst(10)))[-1] == 3


def test_tasks_that_nobody_is_woken_for_wait_for_ever() -> None:
    forecast = told(replace(OWN, activation_target=1000.0), burst(3))
    assert forecast.ended == [inf] * 3
    assert forecast.worker_seconds == 0


def test_a_worker_that_takes_hours_to_start_is_waited_for() -> None:
    forecast = Simulation(OWN, ClusterModel(lambda: 20_000.0), burst(1), every=60.0).run()
    assert forecast.ended == [pytest.approx(20_002, abs=1)]


def test_no_arrivals_at_all_are_a_forecast_too() -> None:
    forecast = told(OWN, [])
    assert (forecast.ended, forecast.worker_seconds) == ([], 0.0)
