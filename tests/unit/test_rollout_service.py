"""The split: only what belongs to the two releases is ever changed."""

from typing import Any

import pytest

from essaim.rollout.errors import RolloutRefusedError
from essaim.rollout.service import all_traffic_to, choose_tag, serving_revision, split_in_force, split_traffic, tags_of

PREVIEW = {"revisionName": "essaim-v9", "tag": "preview", "percent": 0}
LATEST = {"latestRevision": True, "tag": "latest", "percent": 0}


def service(*entries: dict[str, Any], newest: str = "essaim-v1") -> dict[str, Any]:
    spec = {"traffic": list(entries)} if entries else {}
    return {"metadata": {"name": "essaim"}, "spec": spec, "status": {"latestReadyRevisionName": newest}}


@pytest.mark.parametrize(
    "entries",
    [
        (),
        ({"latestRevision": True, "percent": 100},),
        ({"revisionName": "essaim-v1", "percent": 100},),
        (PREVIEW, {"revisionName": "essaim-v1", "percent": 100, "tag": "stable"}, LATEST),
    ],
)
def test_who_gets_the_requests_is_found_however_that_is_said(entries: tuple[dict[str, Any], ...]) -> None:
    assert serving_revision(service(*entries)) == "essaim-v1"


def test_where_several_get_requests_no_rollout_can_start() -> None:
    both = service({"revisionName": "essaim-v1", "percent": 90}, {"revisionName": "essaim-v0", "percent": 10})
    with pytest.raises(RolloutRefusedError, match="essaim-v0, essaim-v1"):
        serving_revision(both)
    with pytest.raises(RolloutRefusedError, match="not ready"):
        serving_revision(service(newest=""))


@pytest.mark.parametrize("before", [(), ({"latestRevision": True, "percent": 100},)])
def test_what_follows_the_newest_revision_is_pinned(before: tuple[dict[str, Any], ...]) -> None:
    assert split_traffic(service(*before), {"essaim-v1": 100}) == [{"revisionName": "essaim-v1", "percent": 100}]


def test_a_tag_that_follows_the_newest_revision_still_does() -> None:
    followed = service({"latestRevision": True, "tag": "latest", "percent": 100})
    assert split_traffic(followed, {"essaim-v1": 100}) == [LATEST, {"revisionName": "essaim-v1", "percent": 100}]


def test_other_entries_stay_as_and_where_they_are_from_the_first_step_to_either_end() -> None:
    stable = {"revisionName": "essaim-v1", "percent": 100, "tag": "stable"}
    before = service(PREVIEW, stable, LATEST)
    shares, tags = {"essaim-v1": 95, "essaim-v2": 5}, {"essaim-v2": "v2"}
    split = split_traffic(before, shares, tags)
    new = {"revisionName": "essaim-v2", "percent": 5, "tag": "v2"}
    assert split == [PREVIEW, {**stable, "percent": 95}, LATEST, new]
    assert all_traffic_to(service(*split), "essaim-v1", "v2") == [PREVIEW, stable, LATEST]
    assert all_traffic_to(service(*split), "essaim-v2", "v2") == [
        PREVIEW,
        {**stable, "percent": 0},
        LATEST,
        {"revisionName": "essaim-v2", "percent": 100},
    ]


def test_an_entry_without_tag_goes_with_its_last_request() -> None:
    split = service(
        {"revisionName": "essaim-v1", "percent": 50}, {"revisionName": "essaim-v2", "percent": 50, "tag": "v2"}
    )
    assert all_traffic_to(split, "essaim-v2", "v2") == [{"revisionName": "essaim-v2", "percent": 100}]
    assert all_traffic_to(split, "essaim-v1", "v2") == [{"revisionName": "essaim-v1", "percent": 100}]


def test_a_tag_that_the_new_release_has_already_is_used_and_stays() -> None:
    mine = service({"revisionName": "essaim-v1", "percent": 100}, {"revisionName": "essaim-v2", "tag": "next"})
    assert choose_tag(mine, "essaim-v2", "v2") == ("next", False)
    split = split_traffic(mine, {"essaim-v1": 99, "essaim-v2": 1}, {"essaim-v2": "next"})
    assert split[1] == {"revisionName": "essaim-v2", "tag": "next", "percent": 1}
    assert all_traffic_to(service(*split), "essaim-v1", None)[1] == {
        "revisionName": "essaim-v2",
        "tag": "next",
        "percent": 0,
    }


def test_tags_say_who_is_still_wanted() -> None:
    tagged = service(
        {"revisionName": "essaim-v1", "percent": 100, "tag": "stable"}, {"revisionName": "essaim-v2"}, LATEST
    )
    assert tags_of(tagged, "essaim-v1") == ["stable"]
    assert tags_of(tagged, "essaim-v2") == []


def test_somebody_elses_tag_is_not_taken() -> None:
    assert choose_tag(service(), "essaim-v2", "v2") == ("v2", True)
    taken = service({"revisionName": "essaim-v1", "percent": 100}, {"revisionName": "essaim-v7", "tag": "v2"})
    with pytest.raises(RolloutRefusedError, match="leads elsewhere"):
        choose_tag(taken, "essaim-v2", "v2")


def test_it_is_settled_once_the_status_is_about_this_generation() -> None:
    ready = {"type": "Ready", "status": "True"}
    one = {"metadata": {"generation": 3}, "spec": {}, "status": {"observedGeneration": 3, "conditions": [ready]}}
    assert split_in_force(one)
    assert not split_in_force({**one, "metadata": {"generation": 4}})
    assert not split_in_force(
        {**one, "status": {"observedGeneration": 3, "conditions": [{**ready, "status": "False"}]}}
    )
    assert not split_in_force({**one, "status": {}})


def test_a_newer_revision_that_does_not_start_leaves_the_split_in_force() -> None:
    states = {"Ready": "False", "ConfigurationsReady": "False", "RoutesReady": "True"}
    conditions = [{"type": name, "status": state} for name, state in states.items()]
    status = {"observedGeneration": 3, "conditions": conditions}
    assert split_in_force({"metadata": {"generation": 3}, "spec": {}, "status": status})
