"""From state to state, each way that there is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from essaim.rollout.errors import RolloutError, RolloutRefusedError
from essaim.rollout.model import (
    HISTORY,
    LEASE,
    Phase,
    Plan,
    Rollout,
    add_note,
    advance_rollout,
    begin_rollout,
    conclude_rollout,
    desired_traffic,
    dump,
    hold_rollout,
    is_overdue,
    load,
    pause_rollout,
    resume_rollout,
)
from essaim.rollout.reporting import Reporter
from essaim.rollout.verdict import Rules

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
PLAN = Plan("v1", "v2", "v2", steps=(1, 5, 100))


def begun(plan: Plan = PLAN) -> Rollout:
    return begin_rollout(plan, "one", "ann", NOW)


def at(phase: Phase, index: int = -1) -> Rollout:
    return replace(begun(), phase=phase, index=index)


def way(plan: Plan) -> list[Rollout]:
    """From the beginning to the end, when all is well."""
    found = [begun(plan)]
    while not found[-1].phase.decided:
        found.append(advance_rollout(found[-1], LATER, f"step {len(found)}"))
    return found


@pytest.mark.parametrize("shadow", [0, 3])
def test_a_good_release_goes_through_all_phases_and_steps(shadow: int) -> None:
    seen = [(it.phase, it.percent) for it in way(replace(PLAN, shadow=shadow))]
    expected = [(Phase.PREPARING, 0), (Phase.SMOKE, 0), *([(Phase.SHADOW, 0)] if shadow else [])]
    assert seen == [*expected, (Phase.STEPPING, 1), (Phase.STEPPING, 5), (Phase.PROMOTED, 100)]


def test_a_single_step_is_a_promotion() -> None:
    assert [it.phase for it in way(replace(PLAN, steps=(100,)))] == [Phase.PREPARING, Phase.SMOKE, Phase.PROMOTED]


def test_requests_are_open_to_it_from_its_first_step_on() -> None:
    for before, after in pairwise(way(PLAN)):
        assert (after.opened is None) == (after.percent == 0)
        assert before.opened in (None, after.opened)


def test_every_move_is_logged_with_the_share_that_the_new_release_has_then(caplog: pytest.LogCaptureFixture) -> None:
    """The dashboard draws it from there, down to 0 again where it is taken back."""
    caplog.set_level("INFO", "essaim")
    moves = [at(Phase.STEPPING, 1), *(at(phase, 1) for phase in Phase if phase.decided)]
    for move in moves:
        Reporter(lambda line: None).moved(move)
    logged = [record.__dict__["fields"]["percent"] for record in caplog.records]
    assert logged == [5, *(100 if move.phase is Phase.PROMOTED else 0 for move in moves[1:])]


@pytest.mark.parametrize("phase", [it for it in Phase if not it.decided])
@pytest.mark.parametrize("end", [it for it in Phase if it.decided])
def test_from_each_phase_there_is_a_way_to_each_end(phase: Phase, end: Phase) -> None:
    ended = conclude_rollout(at(phase, 0 if phase is Phase.STEPPING else -1), end, LATER, "enough")
    assert (ended.phase, ended.reason, ended.since, ended.done) == (end, "enough", LATER, False)
    assert ended.percent == (100 if end is Phase.PROMOTED else 0)


@pytest.mark.parametrize("end", [it for it in Phase if it.decided])
def test_an_end_is_an_end(end: Phase) -> None:
    ended = at(end)
    for again in (advance_rollout, pause_rollout):
        with pytest.raises(RolloutRefusedError, match=end.value):
            again(ended, LATER, "more")
    for other in Phase:
        with pytest.raises(RolloutRefusedError, match=end.value):
            conclude_rollout(ended, other, LATER, "more")


def test_a_pause_is_no_time_that_counts() -> None:
    waiting = pause_rollout(begun(), NOW, "wait")
    late = NOW + timedelta(seconds=PLAN.timeout + 1)
    assert is_overdue(begun(), late)
    assert not is_overdue(waiting, late)
    resumed = resume_rollout(waiting, late, "go")
    assert not is_overdue(resumed, late)
    assert resumed.since == waiting.since  # what it has seen of jobs stays
    assert resume_rollout(resumed, late, "go") is resumed


def test_a_pause_ends_with_the_rollout() -> None:
    assert not conclude_rollout(pause_rollout(begun(), NOW, "wait"), Phase.ROLLED_BACK, LATER, "bad").paused


def test_only_its_holder_may_write_while_that_lives() -> None:
    rollout, alive = begun(), NOW + LEASE - timedelta(seconds=1)
    with pytest.raises(RolloutRefusedError, match=r"ann is rolling out v2 .* in 2 seconds"):
        hold_rollout(rollout, "bob", alive)
    assert hold_rollout(rollout, "ann", alive).held_until == alive + LEASE
    assert hold_rollout(rollout, "bob", alive, takeover=True).holder == "bob"
    assert hold_rollout(rollout, "bob", NOW + LEASE).holder == "bob"


def test_its_history_does_not_grow_without_end() -> None:
    rollout = begun()
    for number in range(3 * HISTORY):
        rollout = add_note(rollout, NOW, f"sentence {number}")
    assert len(rollout.history) == HISTORY
    assert rollout.history[-1].sentence == f"sentence {3 * HISTORY - 1}"


@pytest.mark.parametrize("wrong", [(), (1, 5), (0, 100), (5, 1, 100), (5, 5, 100), (50, 100, 101)])
def test_steps_that_do_not_rise_to_100_are_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(RolloutRefusedError, match="rise"):
        replace(PLAN, steps=wrong)


def test_what_is_written_down_can_be_read_again() -> None:
    for rollout in way(replace(PLAN, image="essaim:2", rules=Rules(min_jobs=7), shadow=2)):
        assert load(dump(replace(rollout, smoke_job="a"))) == replace(rollout, smoke_job="a")


def test_a_later_version_may_write_more() -> None:
    text = dump(begun())
    assert load(text[:-1] + ',"moon":"full"}') == begun()
    with pytest.raises(RolloutError, match="not one that a rollout has written"):
        load("{}")


SERVICE = {
    "metadata": {"name": "essaim", "resourceVersion": "1", "generation": 1},
    "spec": {"template": {"metadata": {"name": "essaim-v1"}}},
    "status": {"latestReadyRevisionName": "essaim-v1"},
}


def test_each_state_says_how_requests_are_split() -> None:
    old, new = {"revisionName": "essaim-v1"}, {"revisionName": "essaim-v2", "tag": "v2"}
    splits = [desired_traffic(SERVICE, it) for it in way(PLAN)]
    assert splits == [
        [{**old, "percent": 100}],
        [{**old, "percent": 100}, {**new, "percent": 0}],
        [{**old, "percent": 99}, {**new, "percent": 1}],
        [{**old, "percent": 95}, {**new, "percent": 5}],
        [{"revisionName": "essaim-v2", "percent": 100}],
    ]
    for end in (Phase.ROLLED_BACK, Phase.ABORTED):
        assert desired_traffic(SERVICE, at(end)) == [{**old, "percent": 100}]
