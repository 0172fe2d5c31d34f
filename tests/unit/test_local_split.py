"""The file that says who gets how many of the requests on one machine, and what comes of it."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from essaim.errors import UnavailableError
from essaim.rollout.errors import ConflictError, RolloutRefusedError
from essaim.splitter.service_file import LocalService
from essaim.splitter.split import Deck, in_force, shares

ADDRESSES = {"v1": "http://127.0.0.1:4001", "v2": "http://127.0.0.1:4002", "v3": "http://127.0.0.1:4003"}


@pytest.fixture
async def service(tmp_path: Path) -> LocalService:
    opened = LocalService(tmp_path / "service.json")
    await opened.open("http://127.0.0.1:4000", ADDRESSES)
    return opened


def to(*entries: tuple[str, int, str | None]) -> list[dict[str, Any]]:
    """A patch that splits the requests so."""
    traffic = [
        {"revisionName": f"essaim-{name}", "percent": percent, **({"tag": tag} if tag else {})}
        for name, percent, tag in entries
    ]
    return [{"op": "replace", "path": "/spec/traffic", "value": traffic}]


async def test_at_first_the_first_release_has_all_and_the_others_a_tag(service: LocalService) -> None:
    found = await service.read()
    assert shares(in_force(found)) == {"essaim-v1": 100}
    assert found["status"]["traffic"] == [
        {"revisionName": "essaim-v1", "percent": 100},
        {"revisionName": "essaim-v2", "percent": 0, "tag": "v2", "url": ADDRESSES["v2"]},
        {"revisionName": "essaim-v3", "percent": 0, "tag": "v3", "url": ADDRESSES["v3"]},
    ]
    assert found["status"]["url"] == "http://127.0.0.1:4000"


async def test_a_patch_is_in_force_and_counted(service: LocalService) -> None:
    before = await service.read()
    after = await service.patch(to(("v1", 90, "old"), ("v2", 10, None)))
    assert await service.read() == after
    assert shares(in_force(after)) == {"essaim-v1": 90, "essaim-v2": 10}
    assert after["status"]["traffic"][0]["url"] == ADDRESSES["v1"]
    assert "url" not in after["status"]["traffic"][1]
    assert int(after["metadata"]["resourceVersion"]) == int(before["metadata"]["resourceVersion"]) + 1
    assert (
        after["status"]["observedGeneration"] == after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    )


async def test_an_annotation_changes_no_generation(service: LocalService) -> None:
    before = await service.read()
    after = await service.patch([{"op": "add", "path": "/metadata/annotations/essaim.dev~1rollout", "value": "{}"}])
    assert after["metadata"]["annotations"] == {"essaim.dev/rollout": "{}"}
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    assert await service.patch([]) == after


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "0"},
        {"op": "test", "path": "/metadata/annotations/absent", "value": "here"},
        {"op": "remove", "path": "/metadata/annotations/absent"},
        {"op": "replace", "path": "/nowhere/at/all", "value": 1},
    ],
)
async def test_what_does_not_fit_changes_nothing(service: LocalService, operation: dict[str, Any]) -> None:
    before = service.path.read_bytes()
    with pytest.raises(ConflictError):
        await service.patch([*to(("v2", 100, None)), operation])
    assert service.path.read_bytes() == before


@pytest.mark.parametrize(
    "traffic",
    [
        to(("v1", 90, None)),
        to(("v1", 90, None), ("v2", 20, None)),
        to(("v1", 110, None), ("v2", -10, None)),
        to(("v9", 100, None)),
        to(("v1", 50, "same"), ("v2", 50, "same")),
        [{"op": "replace", "path": "/spec/traffic/0/percent", "value": 100.0}],
        [{"op": "replace", "path": "/spec/traffic/0/percent", "value": True}],
    ],
)
async def test_a_split_that_cannot_be_is_refused(service: LocalService, traffic: list[dict[str, Any]]) -> None:
    before = service.path.read_bytes()
    with pytest.raises(RolloutRefusedError):
        await service.patch(traffic)
    assert service.path.read_bytes() == before


async def test_the_newest_has_what_is_for_the_latest(service: LocalService) -> None:
    await service.patch([{"op": "remove", "path": "/spec/traffic"}])
    assert shares(in_force(await service.read())) == {"essaim-v3": 100}
    latest = [{"latestRevision": True, "percent": 40}, {"revisionName": "essaim-v3", "percent": 60}]
    after = await service.patch([{"op": "add", "path": "/spec/traffic", "value": latest}])
    assert shares(in_force(after)) == {"essaim-v3": 100}
    assert after["spec"]["traffic"] == latest


async def test_its_status_is_not_for_others_to_write(service: LocalService) -> None:
    before = await service.read()
    assert await service.patch([{"op": "replace", "path": "/status/url", "value": "http://elsewhere"}]) == before


async def test_of_many_who_write_at_once_none_is_lost(service: LocalService) -> None:
    add = [
        LocalService(service.path).patch([{"op": "add", "path": f"/metadata/annotations/{number}", "value": "here"}])
        for number in range(40)
    ]
    versions = [int(after["metadata"]["resourceVersion"]) for after in await asyncio.gather(*add)]
    assert len(set(versions)) == 40
    assert len((await service.read())["metadata"]["annotations"]) == 40


async def test_of_many_who_saw_the_same_one_writes(service: LocalService) -> None:
    seen = (await service.read())["metadata"]["resourceVersion"]
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": seen}
    splits = [to(("v1", percent, None), ("v2", 100 - percent, None)) for percent in range(1, 20)]
    found = await asyncio.gather(*(service.patch([test, *split]) for split in splits), return_exceptions=True)
    assert sum(isinstance(one, dict) for one in found) == 1
    assert sum(isinstance(one, ConflictError) for one in found) == 18


async def test_it_begins_anew_and_goes_on_counting(service: LocalService) -> None:
    """A rollout that still thinks of the split before finds a conflict."""
    before = await service.patch(to(("v1", 50, None), ("v2", 50, None)))
    after = await service.open("http://127.0.0.1:5000", {"v1": ADDRESSES["v1"], "v2": "http://127.0.0.1:5002"})
    assert shares(in_force(after)) == {"essaim-v1": 100}
    assert int(after["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])


async def test_where_there_is_no_file_nobody_answers(tmp_path: Path) -> None:
    absent = LocalService(tmp_path / "service.json")
    for asking in (absent.read(), absent.patch([])):
        with pytest.raises(UnavailableError, match="essaim up --release"):
            await asking
    for other in ("{", "[]", '{"name": "of another program"}', '{"metadata": {}, "spec": {}, "status": {}}'):
        absent.path.write_text(other)
        with pytest.raises(UnavailableError, match="cannot be read"):
            await absent.read()


@pytest.mark.parametrize("wanted", [{"a": 100}, {"a": 50, "b": 50}, {"a": 10, "b": 90}, {"a": 1, "b": 66, "c": 33}])
def test_each_hundred_has_exactly_the_shares(wanted: dict[str, int]) -> None:
    deck = Deck(wanted)
    for _ in range(20):
        assert Counter(deck.deal() for _ in range(100)) == wanted


def test_ten_to_ninety_is_one_in_ten() -> None:
    deck = Deck({"new": 10, "old": 90})
    assert [[deck.deal() for _ in range(10)].count("new") for _ in range(50)] == [1] * 50


def test_nobodys_rhythm_meets_that_of_the_split() -> None:
    """A client that sends large and small jobs in turn: each release gets of both, about alike."""
    deck = Deck({"a": 50, "b": 50})
    dealt = [deck.deal() for _ in range(4000)]
    assert 700 < dealt[::2].count("a") < 1300  # a round robin would have 0 or 2000; chance has a deviation of 22


def test_what_a_person_wrote_by_hand_counts(tmp_path: Path) -> None:
    service = LocalService(tmp_path / "service.json")
    asyncio.run(service.open("http://127.0.0.1:4000", ADDRESSES))
    found = json.loads(service.path.read_text())
    found["spec"]["traffic"][0]["percent"], found["spec"]["traffic"][1]["percent"] = 75, 25
    service.path.write_text(json.dumps(found))
    assert shares(in_force(service.read_now())) == {"essaim-v1": 75, "essaim-v2": 25}
