"""Dead letters over HTTP: listed, and replayed."""

import pytest

from tests.integration.conftest import Site
from tests.integration.submissions import JSON


async def test_dead_letters_are_listed_and_replayed(site: Site) -> None:
    await site.submit()
    async with site.backends.queue.deliveries(1) as deliveries:
        await (await anext(deliveries)).park("it is cursed")
    [letter] = (await site.http.get("/v1/dead-letters")).json()["dead_letters"]
    assert letter["reason"] == "it is cursed"
    assert letter["event"]["type"] == "essaim.job.submitted"

    none = await site.http.post("/v1/dead-letters/replay", json={"ids": []})
    assert none.json() == {"replayed": 0}
    unknown = await site.http.post("/v1/dead-letters/replay", json={"ids": [letter["id"], "nope"]})
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:problem-type:essaim:dead-letter-not-found")
    assert "'nope'" in unknown.json()["detail"]
    one = await site.http.post("/v1/dead-letters/replay", json={"ids": [letter["id"]]})
    assert one.json() == {"replayed": 1}
    assert (await site.http.get("/v1/dead-letters")).json()["dead_letters"] == []


async def test_all_dead_letters_are_replayed_without_a_body(site: Site) -> None:
    await site.submit()
    async with site.backends.queue.deliveries(1) as deliveries:
        await (await anext(deliveries)).park("it is cursed")
    assert (await site.http.post("/v1/dead-letters/replay")).json() == {"replayed": 1}


@pytest.mark.parametrize(("body", "status"), [(b'{"id": ["1"]}', 422), (b'{"ids": "1"}', 422), (b"{", 400)])
async def test_a_replay_that_makes_no_sense_is_refused(site: Site, body: bytes, status: int) -> None:
    assert (await site.http.post("/v1/dead-letters/replay", content=body, headers=JSON)).status_code == status
