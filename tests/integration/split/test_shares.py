"""Which release gets a request: as the file says, from its last change on."""

import asyncio
import json
from pathlib import Path

from tests.integration.split.conftest import Site


async def test_a_change_of_the_file_is_followed_at_once_and_exactly(site: Site) -> None:
    for percent in (100, 50, 10, 99, 0):
        await site.split(percent)
        for release in (site.first, site.second):
            release.seen.clear()
        answers = await asyncio.gather(*(site.http.post("/v1/jobs", content=b"{}") for _ in range(100)))
        assert {answer.status_code for answer in answers} == {200}
        assert (len(site.first.seen), len(site.second.seen)) == (percent, 100 - percent)


async def test_other_requests_do_not_upset_the_shares_of_submissions(site: Site) -> None:
    await site.split(50)
    for number in range(20):
        await site.http.post("/v1/jobs", content=b"{}")
        for _ in range(number % 3):
            await site.http.get("/v1/jobs")
    submitted = [connection.line for connection in site.first.seen if connection.line.startswith(b"POST")]
    assert len(submitted) == 10


async def test_a_file_that_cannot_be_used_leaves_all_as_it_was(site: Site, tmp_path: Path) -> None:
    await site.split(0)
    await site.http.get("/")
    good = json.loads(site.service.path.read_text())
    for bad in (
        "{",
        "[]",
        "{}",
        json.dumps({**good, "spec": {"traffic": [{"revisionName": "essaim-v9", "percent": 100}]}}),
    ):
        site.service.path.write_text(bad)
        assert (await site.http.get("/")).text == "ok"
    site.service.path.unlink()
    assert (await site.http.get("/")).text == "ok"
    assert site.first.seen == []
    assert "split.unreadable" in (tmp_path / "split.log").read_text()
    site.service.path.write_text(json.dumps(good))
    await site.split(100)
    await site.http.get("/")
    assert len(site.first.seen) == 1
