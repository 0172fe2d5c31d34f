"""What docs/rollout.md says about how often a rollout errs, against a smaller run of the same simulation."""

import json
import math
import random
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from essaim.rollout.model import STEPS
from essaim.rollout.simulation import COLUMNS, Case, Odds, cases, roll_out, row, simulate
from essaim.rollout.verdict import Decision, Rules
from tests.integration.essaim_command import essaim

ROOT = Path(__file__).parents[2]
RULES = Rules()
CLAIMED_FROM = 10_000
ENDS = {"rolled back": Decision.ROLL_BACK, "promoted": Decision.ADVANCE, "undecided": Decision.WAIT}


@cache
def claims() -> dict[str, dict[str, str]]:
    """The table of the docs: by the name of the case and the name of the column."""
    lines = (ROOT / "docs" / "rollout.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    start = rows.index(list(COLUMNS))
    return {
        cells[0]: dict(zip(COLUMNS, cells, strict=True)) for cells in rows[start + 2 : start + 2 + len(cases(RULES))]
    }


def share(cell: str) -> float:
    return float(cell.removesuffix(" %")) / 100


@pytest.fixture(scope="module")
def found() -> dict[str, Odds]:
    return {odds.case.name: odds for odds in simulate(RULES, rollouts=100 * len(cases(RULES)), seed=2)}


def test_the_docs_have_every_case() -> None:
    assert claims().keys() == {case.name for case in cases(RULES)}


def test_the_docs_have_every_rule_with_its_default() -> None:
    text = (ROOT / "docs" / "rollout.md").read_text()
    for field in fields(Rules):
        default = f"{field.default * 100:g} %" if isinstance(field.default, float) else str(field.default)
        assert f"| `{field.name}` | {default} |" in text


@pytest.mark.parametrize("name", [case.name for case in cases(RULES)])
def test_the_docs_say_what_happens(name: str, found: dict[str, Odds]) -> None:
    """Within four and a half standard errors, and one rollout for what is too rare to be seen here."""
    odds, claim = found[name], claims()[name]
    for column, decision in ENDS.items():
        claimed = share(claim[column])
        error = math.sqrt(claimed * (1 - claimed) * (1 / len(odds.rollouts) + 1 / CLAIMED_FROM))
        assert abs(odds.share(decision) - claimed) <= 4.5 * error + 1.5 / len(odds.rollouts), (column, row(odds))


@pytest.mark.parametrize("name", [case.name for case in cases(RULES) if not case.increase and case.slowdown == 1])
def test_the_docs_say_that_equal_releases_are_rolled_back_in_less_than_one_of_a_hundred_rollouts(name: str) -> None:
    assert share(claims()[name]["rolled back"]) < 0.01


@pytest.mark.parametrize("baseline", [0.01, 0.05])
def test_equal_releases_are_rolled_back_in_less_than_one_of_a_hundred_rollouts(baseline: float) -> None:
    rng, count = random.Random(3), 300
    ends = [roll_out(Case("equal", baseline), RULES, STEPS, rng).decision for _ in range(count)]
    assert ends.count(Decision.ROLL_BACK) == 0  # of 1 in 100, this many would show none in one of twenty such tests


def test_a_release_that_is_bad_by_far_is_stopped_at_the_first_step_and_touches_few_jobs(found: dict[str, Odds]) -> None:
    for case in cases(RULES):
        if case.increase == 0.2 or (case.slowdown, case.spread) == (2.0, 1.0):
            odds = found[case.name]
            assert odds.share(Decision.ROLL_BACK, 0) >= 0.94, row(odds)
            first = [each.share for each in odds.rollouts if each.step == 0]
            assert max(first) < 0.02


def test_the_same_seed_gives_the_same_table() -> None:
    first, second = ([row(odds) for odds in simulate(RULES, rollouts=32, seed=5)] for _ in range(2))
    assert first == second
    assert len(first) == len(cases(RULES))


def test_the_command_shows_the_table_for_the_rules_that_are_asked_for() -> None:
    said = essaim("rollout", "odds", "--rollouts", "12", "--max-failure-increase", "5%", "--steps", "10,100", "--json")
    rows = json.loads(said.out)["odds"]
    assert [each["new release"] for each in rows] == [case.name for case in cases(Rules(max_failure_increase=0.05))]
    assert list(rows[0]) == list(COLUMNS)
    assert COLUMNS[0] in essaim("rollout", "odds", "--rollouts", "1").out
    assert "each step must give more" in essaim("rollout", "odds", "--steps", "10,5").err


def test_a_stricter_limit_stops_more() -> None:
    rng = random.Random(6)
    worse = Case("worse", 0.01, 0.05)
    strict, lax = (
        sum(roll_out(worse, rules, STEPS, rng).decision is Decision.ROLL_BACK for _ in range(60))
        for rules in (Rules(), Rules(max_failure_increase=0.1))
    )
    assert strict > 40
    assert lax == 0
