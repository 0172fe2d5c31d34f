"""KEDA's rules between zero and the minimum, with a formula and without, each as a claim."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from essaim.autoscaler.autoscaler import Autoscaler, why
from essaim.autoscaler.policy import Policy, Trigger, default_path, load
from essaim.autoscaler.triggers import Sample
from tests.unit.autoscaling import DOWN, NEVER, OWN, Metrics, counts, failing, polls, some


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
    limit = "since scaleUp adds at most 4 workers in 15 s or 100 % in 15 s"
    decisions = polls(OWN, looks, first_sync=11)
    assert [decision.reason for decision in decisions] == [
        "woken: there is work",
        f"there is work; 10 wanted, 5 {limit}",
        f"cooldown: 59 s left; 10 wanted, 5 {limit}",
        f"frozen: the queue cannot be asked; 10 wanted, 5 {limit}",
        "cooldown is over",
        "no work",
    ]
    formula = "max(total - ready, 0) + ceil(max(ready, waiting) / 5)"
    assert why(decisions[1], OWN) == f"{decisions[1].reason}; 10 = {formula}; the HPA looks every 15 s"
    assert why(decisions[-1], OWN) == "no work"
    assert why(decisions[1], replace(OWN, formula=None)) == decisions[1].reason


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
