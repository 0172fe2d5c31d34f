"""What becomes of failing triggers, each as a claim."""

from dataclasses import replace

import pytest

from essaim.autoscaler.autoscaler import Autoscaler
from essaim.autoscaler.formula import Formula
from essaim.autoscaler.policy import Policy
from essaim.autoscaler.triggers import Sample
from tests.unit.autoscaling import DOWN, HTTP_DOWN, OWN, Metrics, counts, failing, polls, some


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


@pytest.mark.parametrize(
    ("text", "largest"), [("waiting * 1e305", 2**63 / 1000), ("-waiting * 1e305", -(2**63) / 1000)]
)
def test_a_formula_gives_no_more_than_the_hpa_can_count(text: str, largest: float) -> None:
    decision = polls(replace(OWN, formula=Formula(text, ["waiting"])), [(0.0, some(900), 2)], first_sync=0)[0]
    assert decision.metric == pytest.approx(largest)
    assert 0 < decision.replicas <= OWN.max_replicas
