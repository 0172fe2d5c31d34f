"""What a plan is told: times, rates, arrivals, and other numbers for the ScaledObject."""

import statistics
from dataclasses import replace
from itertools import islice
from math import inf
from random import Random
from typing import Any

import pytest

from essaim.autoscaler.errors import ScaledObjectError
from essaim.autoscaler.policy import default_path, load, read
from essaim.planning.arrivals import Pattern, recorded
from essaim.planning.candidates import candidates
from essaim.planning.durations import distribution, per_second, seconds
from essaim.planning.errors import PlanningError
from essaim.planning.recording import JobTimes, Recording, Run

OWN = read(default_path())


@pytest.mark.parametrize(
    ("text", "means"),
    [("2", 2), ("1.5", 1.5), ("200ms", 0.2), ("90s", 90), ("10m", 600), ("5min", 300), ("1h30m", 5400), ("1d", 86400)],
)
def test_times_are_read(text: str, means: float) -> None:
    assert seconds(text) == pytest.approx(means)


@pytest.mark.parametrize("text", ["", "s", "-1s", "1x", "1h x", "nan", "1e3"])
def test_what_is_no_time_says_how_to_write_one(text: str) -> None:
    with pytest.raises(PlanningError, match="90s, 10m"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "means"), [("5", 5), ("5/s", 5), ("300/min", 5), ("300/m", 5), ("18000/h", 5), ("0", 0)]
)
def test_rates_are_read(text: str, means: float) -> None:
    assert per_second(text) == pytest.approx(means)


@pytest.mark.parametrize("text", ["", "/s", "five/s", "5/week", "-5/s", "nan", "inf"])
def test_what_is_no_rate_says_how_to_write_one(text: str) -> None:
    with pytest.raises(PlanningError, match="300/min"):
        per_second(text)


@pytest.mark.parametrize("text", ["3s", "exponential:3s", "lognormal:3s", "lognormal:3s,0.3", "constant:3s"])
def test_the_time_that_is_written_is_the_mean(text: str) -> None:
    draw, random = distribution(text), Random(5)
    assert statistics.fmean(draw(random) for _ in range(20_000)) == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize(
    "text", ["normal:3s", "exponential:3s,1", "lognormal:3s,x", "lognormal:3s,.", "3s,1", "lognormal:0s"]
)
def test_a_distribution_that_is_none_says_which_there_are(text: str) -> None:
    with pytest.raises(PlanningError, match="exponential:2s or lognormal"):
        distribution(text)


def test_a_rate_and_bursts_come_in_the_order_of_time() -> None:
    coming = Pattern(duration=100, rate=4, burst=10, every=40, tasks=3).load(distribution("2s"), "2s")
    arrivals = list(coming.arrivals(0))
    times = [at for at, _ in arrivals]
    assert times == sorted(times)
    assert [times.count(at) for at in (0, 40, 80)] == [10, 10, 10]
    assert len(arrivals) - 30 == pytest.approx(400, rel=0.2)
    assert {works for _, works in arrivals} == {(2.0, 2.0, 2.0)}


@pytest.mark.parametrize(
    ("pattern", "tasks"),
    [
        (Pattern(duration=100, rate=4, burst=10, every=40, tasks=3), 3 * (400 + 30)),
        (Pattern(duration=100, burst=10, every=200), 10),
        (Pattern(duration=100, burst=10, every=50), 30),
        (Pattern(duration=1e12, rate=1e3), 1e15),
    ],
)
def test_how_many_tasks_come_is_known_before(pattern: Pattern, tasks: float) -> None:
    assert pattern.expected() == tasks


def test_the_same_number_gives_the_same_arrivals_and_another_one_others() -> None:
    coming = Pattern(duration=100, rate=4).load(distribution("exponential:2s"), "")
    first, again, other = (list(coming.arrivals(number)) for number in (1, 1, 2))
    assert first == again != other


def test_arrivals_are_not_made_before_they_come() -> None:
    coming = Pattern(duration=1e12, rate=1e3).load(distribution("2s"), "")
    assert len(list(islice(coming.arrivals(0), 5))) == 5


def test_no_jobs_at_all_are_no_load() -> None:
    with pytest.raises(PlanningError, match="--rate, --burst or --run"):
        Pattern(duration=10).load(distribution("2s"), "")


def test_recorded_jobs_come_as_they_were_accepted_with_the_work_they_were() -> None:
    run = Run.model_validate({"shape": "s", "server": "", "started": 0, "scaledobject": {}})
    one = JobTimes("one", 1.0, 1.5, 2.0, 5.0, "succeeded", 1)
    three = JobTimes("three", 0.0, 2.5, 3.0, 9.0, "succeeded", 3, work=6.0)
    cancelled = JobTimes("cancelled", 0.0, 3.0, None, 4.0, "cancelled", None)
    refused = JobTimes("refused", 0.0, None, None, None, "lost", None)
    coming = recorded(Recording(run, (), (three, one, cancelled, refused)))
    assert list(coming.arrivals(0)) == [(1.5, (3.0,)), (2.5, (2.0, 2.0, 2.0)), (3.0, (0.0,))]
    assert coming.accepting == [0.5, 2.5, None]


def test_no_field_to_try_is_the_file_as_it_is() -> None:
    (only,) = candidates(OWN, [])
    assert (str(only), only.settings) == ("the ScaledObject as it is", ())
    assert replace(only.policy, formula=None) == replace(load(default_path()), formula=None)


def test_fields_make_every_combination() -> None:
    found = candidates(OWN, ["pollingInterval=1,5,30", "maxReplicaCount=5,20"])
    assert len(found) == 6
    assert {(it.policy.polling_interval, it.policy.max_replicas) for it in found} == {
        (poll, most) for poll in (1, 5, 30) for most in (5, 20)
    }
    assert str(found[0]) == "pollingInterval=1, maxReplicaCount=5"


def test_what_the_file_says_already_is_no_change() -> None:
    found = candidates(OWN, ["maxReplicaCount=10,20", "tasksPerWorker=1,5", "target=1"])
    assert {(it.policy.max_replicas, it.settings[1][1]): it.changes for it in found} == {
        (10, "1"): 1,
        (10, "5"): 0,
        (20, "1"): 2,
        (20, "5"): 1,
    }


def test_each_field_reaches_the_policy() -> None:
    def policy(text: str) -> Any:
        return candidates(OWN, [text, *(["minReplicaCount=2"] if text.startswith("idle") else [])])[0].policy

    assert policy("cooldownPeriod=7").cooldown_period == 7
    assert policy("initialCooldownPeriod=7").initial_cooldown_period == 7
    assert policy("minReplicaCount=7").min_replicas == 7
    assert policy("idleReplicaCount=0").idle_replicas == 0
    assert policy("target=2").target == 2
    assert policy("activationTarget=2").activation_target == 2
    assert policy("scaleUpWindow=7").scale_up.window == 7
    assert policy("scaleDownWindow=7").scale_down.window == 7
    assert policy("formula=max(total, 3)").formula.text == "max(total, 3)"


def test_tasks_per_worker_are_what_the_formula_divides_by() -> None:
    one, half = candidates(OWN, ["tasksPerWorker=1,2.5"])
    depth = {"waiting": 10.0, "total": 13.0, "ready": 10.0}
    assert one.policy.formula is not None
    assert half.policy.formula is not None
    assert (one.policy.formula.value(depth), half.policy.formula.value(depth)) == (13.0, 7.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("polling=1", "these are: pollingInterval"),
        ("pollingInterval", "write it like"),
        ("pollingInterval=", "write it like"),
        ("pollingInterval=1,,5", "write it like"),
        ("pollingInterval=1.5", "whole numbers"),
        ("tasksPerWorker=0", "over 0"),
    ],
)
def test_what_cannot_be_tried_says_why(text: str, says: str) -> None:
    with pytest.raises(PlanningError, match=says):
        candidates(OWN, [text])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pollingInterval=0", r"pollingInterval=0.*greater than or equal to 1"),
        ("minReplicaCount=50", "minReplicaCount must not be over maxReplicaCount"),
        ("formula=nothing / 5", "names 'nothing'"),
    ],
)
def test_what_makes_no_valid_scaled_object_says_why(text: str, says: str) -> None:
    with pytest.raises(ScaledObjectError, match=says):
        candidates(OWN, [text])


def test_a_formula_that_does_not_divide_has_no_tasks_per_worker() -> None:
    with pytest.raises(PlanningError, match="divides by one number"):
        candidates(OWN, ["formula=total", "tasksPerWorker=2"])


def test_a_field_cannot_be_tried_twice() -> None:
    with pytest.raises(PlanningError, match="write all its values in one"):
        candidates(OWN, ["maxReplicaCount=1", "maxReplicaCount=2"])


def test_a_pattern_says_what_it_is() -> None:
    assert Pattern(600, burst=200).about() == "200 jobs at once"
    assert Pattern(600, rate=5, burst=20, every=60, tasks=3).about() == (
        "5 jobs a second and 20 jobs at once every 60 s for 600 s, 3 tasks each"
    )
    assert Pattern(600, rate=5, every=inf).about() == "5 jobs a second for 600 s"
