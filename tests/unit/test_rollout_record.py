"""State and traffic change together, by patches that build on nothing but what was read."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from essaim.rollout.errors import ConflictError
from essaim.rollout.model import Phase, Plan, Rollout, add_note, advance_rollout, begin_rollout, conclude_rollout
from essaim.rollout.record import ANNOTATION, TEMPLATE, Record, current, operations
from tests.knative_service import StandInService

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = Plan("v1", "v2", "v2", steps=(10, 100))
OURS = {"metadata", "resourceVersion", "generation", "annotations"}


@pytest.fixture
def service() -> StandInService:
    found = StandInService({"v1": "http://one", "v2": "http://two", "v9": "http://nine"})
    found.content["metadata"]["annotations"] = {"example.org/theirs": "yes", "essaim.dev/other~name": "kept"}
    found.content["metadata"]["labels"] = {"a": "b"}
    found.content["spec"]["traffic"] = [
        {"revisionName": "essaim-v9", "tag": "preview"},
        {"latestRevision": True, "percent": 100},
    ]
    return found


def begin(_: dict[str, Any], current: Rollout | None) -> Rollout:
    assert current is None
    return begin_rollout(PLAN, "one", "ann", NOW)


async def forward(record: Record) -> Rollout:
    _, after = await record.change(lambda _, it: advance_rollout(it, NOW, "well") if it else pytest.fail("none"))
    return after


async def apply(record: Record, template: dict[str, Any]) -> None:
    await record.change(lambda _, it: add_note(it, NOW, "made") if it else pytest.fail("none"), template)


async def until_decided(record: Record) -> None:
    while not (await forward(record)).phase.decided:
        pass


async def test_before_and_after_differ_in_the_state_and_in_the_two_releases_traffic_alone(
    service: StandInService,
) -> None:
    before = await service.read()
    record = Record(service)
    await record.change(begin)
    await until_decided(record)
    after = await service.read()
    traffic = after["spec"].pop("traffic")
    assert traffic == [before["spec"].pop("traffic")[0], {"revisionName": "essaim-v2", "percent": 100}]
    assert current(after) is not None
    del after["metadata"]["annotations"][ANNOTATION]
    for it in (before, after):
        del it["metadata"]["resourceVersion"], it["metadata"]["generation"], it["status"]
    assert after == before


async def test_with_no_word_on_traffic_the_old_revision_is_pinned_before_there_is_a_new_one(
    service: StandInService,
) -> None:
    del service.content["spec"]["traffic"], service.content["metadata"]["annotations"]
    record = Record(service)
    await record.change(begin)
    assert service.content["spec"]["traffic"] == [{"revisionName": "essaim-v1", "percent": 100}]
    await apply(record, {"metadata": {"name": "essaim-v2"}})
    assert service.percent("v1") == 100
    assert service.percent("v2") == 0


@pytest.mark.parametrize("end", [Phase.ROLLED_BACK, Phase.ABORTED, Phase.PROMOTED])
async def test_a_template_of_ours_is_taken_back_unless_it_is_promoted(service: StandInService, end: Phase) -> None:
    old, new = {"metadata": {"name": "essaim-v1"}}, {"metadata": {"name": "essaim-v2"}, "spec": {"containers": []}}
    record = Record(service)
    await record.change(begin)
    await apply(record, new)
    assert service.content["spec"]["template"] == new
    await record.change(lambda _, it: conclude_rollout(it, end, NOW, "so"))
    assert service.content["spec"]["template"] == (new if end is Phase.PROMOTED else old)
    assert TEMPLATE not in service.content["metadata"]["annotations"]


async def test_a_template_is_not_put_where_nothing_was_decided(service: StandInService) -> None:
    record = Record(service)
    _, begun = await record.change(begin)
    await record.change(lambda _, it: begun, {"metadata": {"name": "essaim-v2"}})
    assert service.content["spec"]["template"] == {"metadata": {"name": "essaim-v1"}}


async def test_a_template_that_somebody_else_has_applied_meanwhile_stays(service: StandInService) -> None:
    theirs = {"metadata": {"name": "essaim-v2"}}
    service.content["spec"]["template"] = theirs
    record = Record(service)
    await record.change(begin)
    await record.change(lambda _, it: conclude_rollout(it, Phase.ROLLED_BACK, NOW, "so"))
    assert service.content["spec"]["template"] == theirs


async def test_whoever_is_slower_decides_again(service: StandInService) -> None:
    record = Record(service)
    await record.change(begin)
    seen: list[str] = []

    def decide(_: dict[str, Any], rollout: Rollout | None) -> Rollout:
        assert rollout is not None
        seen.append(rollout.holder)
        if len(seen) == 1:  # between its read and its patch
            taken = replace(rollout, holder="bob")
            service.content = apply_all(service.content, operations(service.content, rollout, taken))
        return add_note(rollout, NOW, "well")

    _, after = await record.change(decide)
    assert seen == ["ann", "bob"]
    assert after.holder == "bob"


async def test_two_that_begin_at_once_are_one_and_a_conflict(service: StandInService) -> None:
    first = await service.read()
    one = operations(first, None, begin_rollout(PLAN, "one", "ann", NOW))
    two = operations(first, None, begin_rollout(PLAN, "two", "bob", NOW))
    await service.patch(one)
    with pytest.raises(ConflictError):
        await service.patch(two)


async def test_traffic_that_somebody_has_changed_is_not_overwritten_unseen(service: StandInService) -> None:
    record = Record(service)
    await record.change(begin)
    read = await service.read()
    rollout = current(read)
    assert rollout is not None
    step = operations(read, rollout, advance_rollout(rollout, NOW, "well"))
    service.content["spec"]["traffic"].append({"revisionName": "essaim-v9", "tag": "mine"})
    with pytest.raises(ConflictError, match="/spec/traffic"):
        await service.patch(step)
    await forward(record)
    assert {"revisionName": "essaim-v9", "tag": "mine"} in service.content["spec"]["traffic"]


def apply_all(content: dict[str, Any], changes: list[dict[str, Any]]) -> dict[str, Any]:
    from tests.knative_service import apply

    return apply(content, changes)
