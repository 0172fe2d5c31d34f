"""The HPA's rules, each as a claim. Times in seconds; every table row is (now, metric in workers, replicas) → replicas."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from essaim.autoscaler.hpa import Hpa
from essaim.autoscaler.manifest import RatePolicy
from essaim.autoscaler.policy import Policy, ScalingRules, default_path, load
from essaim.autoscaler.triggers import HpaMetric

Select = Literal["Max", "Min", "Disabled"]
NO_LIMIT = (RatePolicy.model_validate({"type": "Pods", "value": 1000, "periodSeconds": 1}),)
FREE = ScalingRules(window=0, select="Max", policies=NO_LIMIT)


def rates(*rates: tuple[str, int, int], select: Select = "Max", window: int = 0) -> ScalingRules:
    fields = [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in rates]
    return ScalingRules(window, select, tuple(RatePolicy.model_validate(field) for field in fields))


def policy(**changes: Any) -> Policy:
    changes = {"scale_up": FREE, "scale_down": FREE, "max_replicas": 100, **changes}
    return replace(load(default_path()), **changes)


def metric(workers: float | None, target: float = 1.0, average: bool = True) -> HpaMetric:
    return HpaMetric(None if workers is None else round(workers * 1000), round(target * 1000), average)


def look(hpa: Hpa, now: float, workers: float | None, replicas: int) -> int:
    return hpa.decide(lambda: [metric(workers)], now, replicas, replicas)[0]


@pytest.mark.parametrize(
    ("claim", "workers", "replicas", "wanted"),
    [
        ("the metric is rounded up", 2.3, 1, 3),
        ("a whole number is not", 4, 1, 4),
        ("10 % over is as good as wanted", 2.2, 2, 2),
        ("a little more than that is not", 2.201, 2, 3),
        ("10 % under is as good as wanted", 9, 10, 10),
        ("a little less than that is not", 8.99, 10, 9),
        ("the HPA never goes to zero", 0, 3, 1),
        ("it stops at the maximum", 500, 3, 100),
        ("from the maximum it still goes down", 7, 100, 7),
        ("a number below zero is taken for an overflow, and everything is started", -0.5, 3, 100),
        ("without a metric nothing moves", None, 3, 3),
        ("at zero replicas it does not look", 50, 0, 0),
        ("more than the maximum is cut", None, 120, 100),
    ],
)
def test_one_look(claim: str, workers: float | None, replicas: int, wanted: int) -> None:
    assert look(Hpa(policy()), 0, workers, replicas) == wanted, claim


def test_fewer_than_the_minimum_are_filled_up_without_a_look() -> None:
    assert look(Hpa(policy(min_replicas=4)), 0, None, 2) == 4
    assert look(Hpa(policy(min_replicas=4)), 0, 0, 6) == 4


def test_the_target_says_how_much_one_replica_takes() -> None:
    assert Hpa(policy()).decide(lambda: [metric(23, target=5)], 0, 1, 1)[0] == 5


def test_a_value_metric_is_shared_by_the_ready_replicas() -> None:
    shared = [metric(30, target=10, average=False)]
    assert Hpa(policy()).decide(lambda: shared, 0, 4, 2)[0] == 6
    assert Hpa(policy()).decide(lambda: [metric(10.5, target=10, average=False)], 0, 4, 2)[0] == 4


@pytest.mark.parametrize(
    ("claim", "metrics", "wanted"),
    [
        ("the highest metric wins", [2, 7, 3], 7),
        ("one missing metric does not keep it from going up", [7, None], 7),
        ("one missing metric keeps it from going down", [2, None], 5),
        ("all missing keep it still", [None, None], 5),
    ],
)
def test_several_metrics(claim: str, metrics: list[float | None], wanted: int) -> None:
    assert Hpa(policy()).decide(lambda: [metric(workers) for workers in metrics], 0, 5, 5)[0] == wanted, claim


@pytest.mark.parametrize(
    ("claim", "up", "looks"),
    [
        (
            "by default 4 more or the double, whichever is more",
            None,
            [(0, 50, 1, 5), (15, 50, 5, 10), (30, 50, 10, 20)],
        ),
        ("Min takes the smaller step", rates(("Pods", 4, 15), ("Percent", 100, 15), select="Min"), [(0, 50, 1, 2)]),
        ("Disabled takes none", rates(("Pods", 4, 15), select="Disabled"), [(0, 50, 3, 3)]),
        ("a share is rounded up", rates(("Percent", 10, 15)), [(0, 50, 5, 6)]),
        (
            "a period counts from the replicas at its start",
            rates(("Pods", 4, 60)),
            [(0, 50, 1, 5), (15, 50, 5, 5), (59, 50, 5, 5), (60, 50, 5, 9)],
        ),
        (
            "every change in a period counts",
            rates(("Pods", 4, 60)),
            [(0, 3, 1, 3), (15, 50, 3, 5), (30, 50, 5, 5)],
        ),
        (
            "a longer period remembers longer",
            rates(("Pods", 4, 15), ("Pods", 6, 60), select="Min"),
            [(0, 50, 1, 5), (16, 50, 5, 7), (32, 50, 7, 7)],
        ),
        (
            "the window takes the lowest wish in it, the first count included",
            rates(("Pods", 50, 1), window=30),
            [(0, 9, 1, 1), (15, 9, 1, 1), (29, 9, 1, 1), (31, 9, 1, 9)],
        ),
    ],
)
def test_the_way_up(claim: str, up: ScalingRules | None, looks: list[tuple[float, float, int, int]]) -> None:
    hpa = Hpa(policy(scale_up=up or load(default_path()).scale_up))
    for now, workers, replicas, wanted in looks:
        assert look(hpa, now, workers, replicas) == wanted, f"{claim}, at {now} s"


@pytest.mark.parametrize(
    ("claim", "down", "looks"),
    [
        ("a policy of 2 pods in 30 s", rates(("Pods", 2, 30)), [(0, 0, 9, 7), (15, 0, 7, 7), (31, 0, 7, 5)]),
        ("a share is rounded down in what stays", rates(("Percent", 50, 15)), [(0, 0, 5, 2)]),
        ("Max takes the bigger step", rates(("Pods", 1, 15), ("Percent", 50, 15)), [(0, 0, 10, 5)]),
        ("Min takes the smaller step", rates(("Pods", 1, 15), ("Percent", 50, 15), select="Min"), [(0, 0, 10, 9)]),
        ("Disabled takes none", rates(("Pods", 1, 15), select="Disabled"), [(0, 0, 10, 10)]),
        (
            "the window takes the highest wish in it",
            rates(("Pods", 50, 1), window=60),
            [(0, 8, 8, 8), (15, 2, 8, 8), (30, 3, 8, 8), (60, 2, 8, 3), (91, 2, 3, 2)],
        ),
        (
            "the count it began with is the first wish",
            rates(("Pods", 50, 1), window=60),
            [(0, 1, 8, 8), (45, 1, 8, 8), (60, 1, 8, 1)],
        ),
        (
            "a look without a metric leaves no wish behind",
            rates(("Pods", 50, 1), window=30),
            [(0, 8, 8, 8), (15, None, 8, 8), (31, 1, 8, 1)],
        ),
    ],
)
def test_the_way_down(claim: str, down: ScalingRules, looks: list[tuple[float, float | None, int, int]]) -> None:
    hpa = Hpa(policy(scale_down=down))
    for now, workers, replicas, wanted in looks:
        assert look(hpa, now, workers, replicas) == wanted, f"{claim}, at {now} s"


def test_what_went_down_in_a_period_may_come_up_again_in_it() -> None:
    hpa = Hpa(policy(scale_up=rates(("Pods", 4, 15))))
    assert look(hpa, 0, 2, 10) == 2
    assert look(hpa, 10, 30, 2) == 14


def test_a_new_change_takes_the_place_of_an_old_one_that_only_the_other_direction_still_counts() -> None:
    """So in Kubernetes: at 29 s the first four of the last 30 s are forgotten, and fewer are let go than came."""
    hpa = Hpa(policy(scale_up=rates(("Pods", 4, 15)), scale_down=rates(("Pods", 1, 30))))
    assert look(hpa, 0, 50, 1) == 5
    assert look(hpa, 16, 50, 5) == 9
    assert look(hpa, 29, 0, 9) == 4


def without_behavior() -> Hpa:
    return Hpa(policy(scale_up=None, scale_down=None))


def test_without_behavior_the_first_step_ends_at_four() -> None:
    hpa = without_behavior()
    assert [look(hpa, now, 50, replicas) for now, replicas in [(0, 1), (15, 4), (30, 8)]] == [4, 8, 16]


def test_without_behavior_the_window_is_five_minutes_and_nothing_slows_the_way_down() -> None:
    hpa = without_behavior()
    assert look(hpa, 0, 20, 20) == 20
    assert look(hpa, 300, 0, 20) == 20
    assert look(hpa, 301, 0, 20) == 1


def test_without_behavior_an_old_wish_even_raises_the_count() -> None:
    hpa = without_behavior()
    assert look(hpa, 0, 6, 6) == 6
    assert look(hpa, 60, 2, 3) == 6


def test_the_reason_tells_wish_window_and_limit() -> None:
    own = Hpa(load(default_path()))
    most = "4 workers in 15 s or 100 % in 15 s"
    assert own.decide(lambda: [metric(12)], 0, 1, 1) == (5, f"12 wanted, 5 since scaleUp adds at most {most}")
    assert own.decide(lambda: [metric(3)], 15, 5, 5) == (5, "3 wanted, 5 by scaleDown's stabilization window of 60 s")
    assert own.decide(lambda: [metric(None)], 30, 5, 5) == (5, "frozen: no metric")
    assert own.decide(lambda: [metric(12)], 45, 5, 5) == (10, "12 wanted, 10 by maxReplicaCount")
    assert own.decide(lambda: [metric(1)], 120, 10, 10) == (
        8,
        "1 wanted, 8 since scaleDown removes at most 2 workers in 30 s",
    )
    still = Hpa(
        policy(
            scale_up=rates(("Pods", 1, 60), ("Percent", 50, 60), select="Min"),
            scale_down=rates(("Pods", 1, 60), select="Disabled"),
        )
    )
    assert (
        still.decide(lambda: [metric(9)], 0, 4, 4)[1]
        == "9 wanted, 5 since scaleUp adds at most 1 workers in 60 s and 50 % in 60 s"
    )
    assert still.decide(lambda: [metric(1)], 1, 5, 5)[1] == "1 wanted, 5 since scaleDown removes none"


def test_each_direction_has_a_tolerance_of_its_own() -> None:
    tolerant = policy(scale_up=replace(FREE, tolerance=0.5), scale_down=replace(FREE, tolerance=0.0))
    assert [look(Hpa(tolerant), 0, workers, 10) for workers in (15, 15.1, 9.9, 9)] == [10, 16, 10, 9]
