"""KEDA's rules between zero and the minimum, and what becomes of failing triggers, each as a claim."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from jobs.model import Depth
from scaling.autoscaler import Autoscaler, Decision
from scaling.formula import Formula
from scaling.manifest import FallbackSpec
from scaling.policy import Policy, Trigger, default_path, load
from scaling.triggers import Sample

OWN = load(default_path())
NEVER = 1e9
Metrics = Mapping[str, float | None]
DOWN: Metrics = {"waiting": None, "total": None, "ready": None}
HTTP_DOWN: Metrics = {"waiting": 0.0, "total": None, "ready": None}


def some(ready: int, in_flight: int = 0) -> Metrics:
    return OWN.metrics(Depth(ready, in_flight))


def polls(policy: Policy, looks: Sequence[tuple[float, Metrics, int]], first_sync: float = NEVER) -> list[Decision]:
    autoscaler = Autoscaler(policy, first_sync=first_sync)
    return [autoscaler.observe(Sample(now, metrics, replicas, replicas)) for now, metrics, replicas in looks]


def counts(policy: Policy, looks: Sequence[tuple[float, Metrics, int]], first_sync: float = NEVER) -> list[int]:
    return [decision.replicas for decision in polls(policy, looks, first_sync)]


@pytest.mark.parametrize(
    ("claim", "changes", "looks", "wanted"),
    [
        ("one waiting task wakes one worker", {}, [(0, some(1), 0)], [1]),
        ("a thousand wake one too: more is the HPA's", {}, [(0, some(1000), 0)], [1]),
        ("no task wakes nobody", {}, [(0, some(0), 0)], [0]),
        ("a minimum is what is woken", {"min_replicas": 3, "idle_replicas": 0}, [(0, some(1), 0)], [3]),
        ("a few above idle are filled up too", {"min_replicas": 3, "idle_replicas": 0}, [(0, some(1), 1)], [3]),
        ("without idle that is the HPA's", {"min_replicas": 3}, [(0, some(1), 1)], [1]),
        ("activity must be over the activation target, not at it", {"activation_target": 1}, [(0, some(1), 0)], [0]),
        ("a task in flight keeps its worker", {}, [(0, some(1), 0), (90, some(0, 1), 1)], [1, 1]),
        (
            "all leave in one step when the cooldown is over",
            {},
            [(0, some(9), 7), (1, some(0), 7), (60, some(0), 7), (61, some(0), 7)],
            [7, 7, 7, 0],
        ),
        (
            "work in between starts the cooldown anew",
            {},
            [(0, some(9), 7), (50, some(1), 7), (61, some(0), 7), (110, some(0), 7), (111, some(0), 7)],
            [7, 7, 7, 7, 0],
        ),
        ("who was never active has no cooldown", {}, [(1, some(0), 4)], [0]),
        (
            "but an initial one if there is",
            {"initial_cooldown_period": 30},
            [(1, some(0), 4), (30, some(0), 4), (31, some(0), 4)],
            [4, 4, 0],
        ),
        ("a minimum is kept for ever", {"min_replicas": 2}, [(0, some(9), 7), (500, some(0), 7)], [7, 7]),
        ("a minimum is filled up without work", {"min_replicas": 2}, [(0, some(0), 1)], [2]),
        (
            "idle is where it goes instead of the minimum",
            {"min_replicas": 5, "idle_replicas": 0},
            [(0, some(9), 5), (61, some(0), 5), (62, some(0), 0), (63, some(1), 0)],
            [5, 0, 0, 5],
        ),
    ],
)
def test_between_zero_and_the_minimum(
    claim: str, changes: dict[str, Any], looks: list[tuple[float, Metrics, int]], wanted: list[int]
) -> None:
    assert counts(replace(OWN, **changes), looks) == wanted, claim


def test_the_two_loops_keep_their_own_time() -> None:
    autoscaler = Autoscaler(OWN, start=100)
    due = []
    for _ in range(17):
        due.append(autoscaler.due)
        autoscaler.observe(Sample(autoscaler.due, some(0), 0, 0))
    assert due == [*range(100, 117)]
    late = Autoscaler(replace(OWN, polling_interval=30), start=100)
    late.observe(Sample(104, some(0), 0, 0))
    assert late.due == 115
    late.observe(Sample(116, some(0), 0, 0))
    assert late.due == 131


def test_a_sample_before_its_time_changes_nothing() -> None:
    assert counts(replace(OWN, polling_interval=30), [(0, some(0), 0), (29, some(5), 0), (30, some(5), 0)]) == [0, 0, 1]


def test_the_same_samples_give_the_same_decisions() -> None:
    looks = [(float(now), some(now * 7 % 40, now % 9), now * 3 % 11) for now in range(200)]
    assert polls(OWN, looks, first_sync=5) == polls(OWN, looks, first_sync=5)


def test_the_decision_says_why() -> None:
    looks = [(0, some(60), 0), (11, some(50), 1), (12, some(0), 5), (13, DOWN, 5), (72, some(0), 5), (73, some(0), 0)]
    assert [decision.reason for decision in polls(OWN, looks, first_sync=11)] == [
        "woken: there is work",
        "there is work; 10 wanted, 5 by the limits",
        "cooldown: 59 s left; 10 wanted, 5 by the limits",
        "frozen: the queue cannot be asked; 10 wanted, 5 by the limits",
        "cooldown is over",
        "no work",
    ]


def failing(threshold: int, replicas: int, behavior: str = "static") -> FallbackSpec:
    fields = {"failureThreshold": threshold, "replicas": replicas, "behavior": behavior}
    return FallbackSpec.model_validate(fields)


def test_while_the_broker_is_away_nothing_moves_and_the_fallback_never_comes() -> None:
    looks = [(float(now), DOWN, 4) for now in range(1, 400)]
    decisions = polls(OWN, [(0, some(9), 4), *looks], first_sync=5)
    assert {decision.replicas for decision in decisions} == {4}
    assert "fallback" not in "".join(decision.reason for decision in decisions)


def test_time_without_an_answer_counts_for_the_cooldown() -> None:
    assert counts(OWN, [(0, some(9), 4), (1, DOWN, 4), (70, DOWN, 4), (71, some(0), 4)]) == [4, 4, 4, 0]


def test_a_failing_management_api_freezes_until_the_threshold_then_wakes() -> None:
    looks = [(float(now), HTTP_DOWN, 0) for now in range(5)]
    decisions = polls(OWN, looks)
    assert [decision.replicas for decision in decisions] == [0, 0, 0, 1, 1]
    assert [decision.metric for decision in decisions] == [None, None, None, 2, 2]


def test_without_a_fallback_a_failing_trigger_freezes_for_ever() -> None:
    looks = [(float(now), HTTP_DOWN, 3) for now in range(1, 300)]
    assert set(counts(replace(OWN, fallback=None), [(0, some(5), 3), *looks], first_sync=3)) == {3}


def test_a_fallback_of_zero_lets_the_cooldown_run_out() -> None:
    none = replace(OWN, fallback=failing(1000, 0))
    assert counts(none, [(0, some(9), 4), (1, HTTP_DOWN, 4), (60, HTTP_DOWN, 4), (61, HTTP_DOWN, 4)]) == [4, 4, 4, 0]


def test_one_good_answer_ends_the_row_of_failures() -> None:
    looks = [(0.0, HTTP_DOWN, 0), (1.0, HTTP_DOWN, 0), (2.0, HTTP_DOWN, 0), (3.0, some(0), 0), (4.0, HTTP_DOWN, 0)]
    assert counts(OWN, looks) == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("behavior", "replicas", "wanted"),
    [
        ("static", 5, 3),
        ("currentReplicas", 5, 5),
        ("currentReplicasIfHigher", 5, 5),
        ("currentReplicasIfHigher", 2, 3),
        ("currentReplicasIfLower", 5, 3),
        ("currentReplicasIfLower", 2, 2),
    ],
)
def test_the_fallback_behavior_says_what_the_metric_stands_for(behavior: str, replicas: int, wanted: float) -> None:
    policy = replace(OWN, fallback=failing(0, 3, behavior))
    assert polls(policy, [(0, HTTP_DOWN, replicas)])[0].metric == wanted


def test_the_fallback_of_a_value_metric_is_shared_by_the_ready_replicas_and_there_is_none_without_them() -> None:
    policy = replace(OWN, fallback=failing(0, 6), average=False, target=2.0)
    autoscaler = Autoscaler(policy)
    assert autoscaler.observe(Sample(0, HTTP_DOWN, 4, 3)).metric == 4
    assert autoscaler.observe(Sample(1, HTTP_DOWN, 4, 0)).metric is None


def uncached(policy: Policy) -> Policy:
    return replace(policy, triggers=tuple(replace(trigger, cached=False) for trigger in policy.triggers))


def test_the_fallback_reaches_the_hpa_when_it_asks_for_itself() -> None:
    looks = [(float(now), HTTP_DOWN, 1) for now in range(1, 6)]
    policy = uncached(replace(OWN, fallback=failing(3, 4)))
    assert counts(policy, [(0, some(1), 1), *looks], first_sync=5)[-1] == 4


def test_the_fallback_does_not_reach_the_hpa_through_the_cache_of_a_formula() -> None:
    """KEDA keeps the fallback's number without its trigger's name, so the formula finds none; and it takes the cached
    number for a good answer, so the row of failures begins again."""
    looks = [(float(now), HTTP_DOWN, 1) for now in range(1, 10)]
    decisions = polls(replace(OWN, fallback=failing(3, 4)), [(0, some(1), 1), *looks], first_sync=5)
    assert {decision.replicas for decision in decisions} == {1}
    assert [decision.metric for decision in decisions] == [1, None, None, None, 4, 4, None, None, None, 4]


def test_the_hpas_look_at_a_cached_failure_counts_as_one_more() -> None:
    looks = [(float(now), HTTP_DOWN, 1) for now in range(1, 4)]
    policy = replace(OWN, fallback=failing(3, 4))
    assert counts(policy, [(0, some(1), 1), *looks], first_sync=3)[-1] == 4


def test_under_a_fallback_to_the_formula_a_failing_trigger_is_nil() -> None:
    policy = uncached(
        replace(
            OWN,
            fallback=failing(1, 6, "scalingModifiers"),
            formula=Formula("(total ?? 7) + ready * 0 + waiting", ["waiting", "total", "ready"]),
        )
    )
    total_down: Metrics = {"waiting": 0.0, "total": None, "ready": 1.0}
    assert [decision.metric for decision in polls(policy, [(0, total_down, 1), (1, total_down, 1)])] == [None, 7]


def test_a_formula_that_is_nil_stands_for_the_fallback_replicas() -> None:
    policy = replace(
        OWN,
        fallback=failing(0, 6, "scalingModifiers"),
        formula=Formula("total", ["waiting", "total", "ready"]),
        target=2.0,
    )
    assert polls(policy, [(0, HTTP_DOWN, 1)])[0].metric == 12


def test_a_formula_without_a_number_counts_as_no_work() -> None:
    policy = replace(OWN, formula=Formula("ready / total", ["waiting", "total", "ready"]))
    assert counts(policy, [(0, some(3), 2), (61, some(0), 2)], first_sync=61) == [2, 0]


def test_a_triggers_negative_number_is_zero_a_formulas_is_not() -> None:
    below: Metrics = {"waiting": -5.0, "total": 0.0, "ready": -1.0}
    assert polls(OWN, [(0, below, 1)])[0].metric == 0
    careless = replace(OWN, formula=Formula("total - ready", ["waiting", "total", "ready"]))
    skewed: Metrics = {"waiting": 0.0, "total": 0.0, "ready": 3.0}
    assert counts(careless, [(1, skewed, 1)]) == [0], "KEDA sees no work"
    assert counts(careless, [(0, some(3, 1), 1), (1, skewed, 1)], first_sync=1) == [1, 5], "the HPA starts all it may"


def test_a_thousandth_is_the_smallest_number() -> None:
    tiny = replace(OWN, formula=Formula("ready / 5000", ["waiting", "total", "ready"]))
    assert counts(tiny, [(0, some(4), 0)]) == [0]
    assert counts(tiny, [(0, some(5), 0)]) == [1]


def plain(*, protocols: Sequence[str] = ("http", "http"), **changes: Any) -> Policy:
    triggers = [
        Trigger(f"s{index}", "amqp" if protocol == "amqp" else "http", False, False, True, 5.0, 2.0)
        for index, protocol in enumerate(protocols)
    ]
    return replace(OWN, formula=None, triggers=tuple(triggers), **changes)


@pytest.mark.parametrize(
    ("claim", "looks", "wanted"),
    [
        ("any trigger over its own activation wakes", [(0, {"s0": 0.0, "s1": 3.0}, 0)], [1]),
        ("at its activation it does not", [(0, {"s0": 2.0, "s1": 2.0}, 0)], [0]),
        ("each has its own target, the highest count wins", [(0, {"s0": 9.0, "s1": 24.0}, 1)], [5]),
        ("a healthy one still wakes when another fails", [(0, {"s0": None, "s1": 9.0}, 0)], [1]),
        ("a failing one keeps all from going down", [(0, {"s0": 30.0, "s1": None}, 8)], [8]),
    ],
)
def test_without_a_formula(claim: str, looks: list[tuple[float, Metrics, int]], wanted: list[int]) -> None:
    first_sync = 0 if looks[0][2] else NEVER
    down = load(default_path()).scale_down
    assert down is not None
    policy = plain(fallback=None, scale_down=replace(down, window=0))
    assert counts(policy, looks, first_sync=first_sync) == wanted, claim


def test_without_a_formula_the_highest_number_is_shown() -> None:
    assert polls(plain(), [(0, {"s0": 3.0, "s1": 8.0}, 0)])[0].metric == 8


def test_without_a_formula_a_failing_trigger_falls_back_by_itself() -> None:
    policy = plain(fallback=failing(1, 3))
    looks = [(0, {"s0": None, "s1": 0.0}, 1), (1, {"s0": None, "s1": 0.0}, 1), (2, {"s0": None, "s1": 0.0}, 1)]
    assert counts(policy, looks, first_sync=2) == [1, 1, 3]


def test_an_amqp_trigger_that_cannot_be_built_takes_all_with_it() -> None:
    policy = plain(protocols=("amqp", "http"), fallback=failing(0, 3))
    assert counts(policy, [(0, {"s0": None, "s1": 50.0}, 0), (1, {"s0": None, "s1": 50.0}, 2)], first_sync=1) == [0, 2]
