"""Texts over HTTP: stored whole or not at all, read in part, compared by version, listed by page."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conftest import eventually
from tests.integration.conftest import Serving, Site

BODY = bytes(range(256)) * 4  # no UTF-8: a text is what it is


async def stored(site: Site, name: str = "a.txt", body: bytes = BODY) -> str:
    """The version of a text that was just stored."""
    response = await site.http.put(f"/v1/texts/{name}", content=body)
    assert response.status_code in (200, 201), response.text
    return response.headers["etag"]


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_text_comes_back_as_it_was_stored(site: Site) -> None:
    put = await site.http.put("/v1/texts/books/été 1.txt", content=stream(b"first ", b"", b"second"))
    assert put.status_code == 201
    assert put.headers["location"] == "/v1/texts/books/%C3%A9t%C3%A9%201.txt"
    assert put.json() | {"modified": ""} == {
        "name": "books/été 1.txt",
        "size": 12,
        "etag": put.headers["etag"],
        "modified": "",
    }

    got = await site.http.get(put.headers["location"])
    assert (got.status_code, got.content) == (200, b"first second")
    assert got.headers["etag"] == put.headers["etag"]
    assert got.headers["content-length"] == "12"
    assert got.headers["x-content-type-options"] == "nosniff"


async def test_a_text_is_replaced_by_the_next_of_its_name(site: Site) -> None:
    before = await stored(site)
    again = await site.http.put("/v1/texts/a.txt", content=b"new")
    assert again.status_code == 200
    assert again.headers["etag"] != before
    assert (await site.http.get("/v1/texts/a.txt")).content == b"new"


async def test_an_empty_text_is_a_text(site: Site) -> None:
    await stored(site, body=b"")
    assert (await site.http.get("/v1/texts/a.txt")).content == b""


async def test_a_range_is_part_of_the_text(site: Site) -> None:
    await stored(site)
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=-9999", 0, 1024),
        ("bytes=1000-99999999999999999", 1000, 1024),
        ("BYTES=5-9", 5, 10),
    ):
        got = await site.http.get("/v1/texts/a.txt", headers={"range": asked})
        assert (got.status_code, got.content) == (206, BODY[start:end]), asked
        assert got.headers["content-range"] == f"bytes {start}-{end - 1}/1024", asked


async def test_a_range_that_makes_no_sense_is_ignored(site: Site) -> None:
    await stored(site)
    for asked in ("bytes=", "bytes=-", "bytes=9-3", "lines=1-2", "bytes=0-1,4-5", "bytes=a-b", ""):
        got = await site.http.get("/v1/texts/a.txt", headers={"range": asked})
        assert (got.status_code, got.content) == (200, BODY), asked


async def test_a_range_outside_the_text_is_refused_with_its_size(site: Site) -> None:
    await stored(site)
    for asked in ("bytes=1024-", "bytes=5000-6000", "bytes=-0"):
        got = await site.http.get("/v1/texts/a.txt", headers={"range": asked})
        assert got.status_code == 416, asked
        assert got.headers["content-range"] == "bytes */1024", asked
        assert got.headers["content-type"] == "application/problem+json", asked


async def test_a_range_of_another_version_is_the_whole_text(site: Site) -> None:
    etag = await stored(site)
    for version, status in ((etag, 206), ('"other"', 200)):
        got = await site.http.get("/v1/texts/a.txt", headers={"range": "bytes=0-9", "if-range": version})
        assert got.status_code == status


async def test_a_version_that_the_client_has_is_not_sent_again(site: Site) -> None:
    etag = await stored(site)
    for form in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        for method in ("GET", "HEAD"):
            headers = {"if-none-match": form, "range": "bytes=0-9"}
            got = await site.http.request(method, "/v1/texts/a.txt", headers=headers)
            assert (got.status_code, got.content, got.headers["etag"]) == (304, b"", etag), (method, form)
    other = await site.http.get("/v1/texts/a.txt", headers={"if-none-match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_only_the_version_that_was_asked_for_will_do(site: Site, method: str) -> None:
    etag = await stored(site)
    refused = await site.http.request(method, "/v1/texts/a.txt", headers={"if-match": '"other"'})
    assert refused.status_code == 412
    assert (await site.http.get("/v1/texts/a.txt")).headers["etag"] == etag
    taken = await site.http.request(method, "/v1/texts/a.txt", headers={"if-match": f'"other", {etag}'})
    assert taken.is_success


async def test_a_text_that_is_there_is_not_replaced_against_the_clients_will(site: Site) -> None:
    new = {"if-none-match": "*"}
    assert (await site.http.put("/v1/texts/a.txt", content=b"mine", headers=new)).status_code == 201
    refused = await site.http.put("/v1/texts/a.txt", content=b"yours", headers=new)
    assert refused.status_code == 412
    assert refused.json()["type"] == "urn:problem-type:essaim:text-exists"
    assert (await site.http.get("/v1/texts/a.txt")).content == b"mine"


async def test_head_gives_size_and_version(site: Site) -> None:
    etag = await stored(site)
    got = await site.http.head("/v1/texts/a.txt")
    assert (got.status_code, got.content) == (200, b"")
    assert (got.headers["content-length"], got.headers["etag"]) == ("1024", etag)


async def test_a_deleted_text_is_gone(site: Site) -> None:
    await stored(site)
    assert (await site.http.delete("/v1/texts/a.txt")).status_code == 204
    for method in ("GET", "HEAD", "DELETE"):
        assert (await site.http.request(method, "/v1/texts/a.txt")).status_code == 404


async def test_texts_are_listed_by_page(site: Site) -> None:
    names = sorted(f"b/{number}.txt" for number in range(5))
    for name in [*names, "other.md"]:
        await stored(site, name, b"x")
    found: list[str] = []
    url: str | None = "/v1/texts?pattern=b/*&limit=2"
    while url:
        page = await site.http.get(url)
        found += [text["name"] for text in page.json()["texts"]]
        url = page.links.get("next", {}).get("url")
        assert (url is None) == (page.json()["cursor"] is None)
    assert found == names


@pytest.mark.parametrize("headers", [{"content-length": "3000000"}, {}], ids=["announced", "chunked"])
async def test_a_text_over_the_limit_is_refused_and_not_stored(site: Site, headers: dict[str, str]) -> None:
    refused = await site.http.put("/v1/texts/big", content=stream(*[b"x" * 30_000] * 100), headers=headers)
    assert refused.status_code == 413
    assert refused.json()["type"] == "urn:problem-type:essaim:text-too-large"
    assert (await site.http.get("/v1/texts/big")).status_code == 404


async def test_a_text_that_announces_too_much_is_refused_before_it_is_sent(site: Site) -> None:
    answer = await site.exchange(
        b"PUT /v1/texts/big HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000000\r\n"
        b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_text_of_just_the_limit_is_taken(site: Site) -> None:
    await stored(site, body=b"x" * site.settings.max_text_bytes)


@pytest.mark.parametrize(
    ("header", "value", "status"), [("content-encoding", "gzip", 415), ("content-range", "bytes 0-1/2", 400)]
)
async def test_a_text_is_sent_as_it_is_and_whole(site: Site, header: str, value: str, status: int) -> None:
    assert (await site.http.put("/v1/texts/a", content=b"xx", headers={header: value})).status_code == status
    assert (await site.http.get("/v1/texts/a")).status_code == 404


@pytest.mark.parametrize(
    "beginning",
    [b"Content-Length: 100000\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
    ids=["announced", "chunked"],
)
async def test_a_text_whose_sender_vanishes_is_not_stored(
    site: Site, beginning: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "essaim")
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"PUT /v1/texts/half HTTP/1.1\r\nHost: x\r\n" + beginning)
    await writer.drain()
    writer.close()
    await eventually(lambda: "http.answered" in caplog.messages)
    assert "http.failed" not in caplog.messages
    assert await site.backends.texts.list("**") == []
    folder = site.settings.data_dir / "texts"
    assert [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size] == []


async def test_a_text_whose_sender_falls_silent_is_given_up(serving: Serving) -> None:
    async with serving(idle_seconds=0.3) as site:
        answer = await site.exchange(b"PUT /v1/texts/half HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        assert await site.backends.texts.list("**") == []


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PAGE = b"<!doctype html><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("name", "body", "media_type"),
    [
        ("a.txt", b"text", "text/plain; charset=utf-8"),
        ("a", "\u00e9t\u00e9".encode(), "text/plain; charset=utf-8"),
        ("a", b"", "text/plain; charset=utf-8"),
        ("a.csv", b"a,b\r\n", "text/csv; charset=utf-8"),
        ("a.md", b"# A", "text/plain; charset=utf-8"),
        ("a.json", b"{}", "application/json"),
        ("a.txt", "\ufeffa".encode("utf-16-le"), "text/plain; charset=utf-16"),
        ("a.txt", "\ufeffa".encode("utf-16-be"), "text/plain; charset=utf-16"),
        ("a.png", PNG, "image/png"),
        ("a.webp", b"RIFF\0\0\0\0WEBP", "image/webp"),
        ("a.pdf", b"%PDF-1.7\n\0", "application/pdf"),
        ("a.tar.gz", b"\x1f\x8b\x08\0", "application/gzip"),
        ("a.txt", PNG, "application/octet-stream"),
        ("a.csv", b"\0", "application/octet-stream"),
        ("a", PNG, "application/octet-stream"),
        ("a.html", PAGE, "text/plain; charset=utf-8"),
        ("a.xhtml", PAGE, "text/plain; charset=utf-8"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "text/plain; charset=utf-8"),
        ("a.xml", b"<a/>", "text/plain; charset=utf-8"),
        ("a.js", b"alert(1)", "text/plain; charset=utf-8"),
        ("a.png", PAGE, "text/plain; charset=utf-8"),
        ("a.html", PAGE + b"\0", "application/octet-stream"),
        ("a.svg", b"<svg/>\0", "application/octet-stream"),
        ("a.html", PAGE.decode().encode("utf-16"), "text/plain; charset=utf-16"),
        ("a.mhtml", b"\0", "application/octet-stream"),
    ],
)
async def test_a_text_has_the_type_of_what_it_is_and_none_that_a_browser_runs(
    site: Site, name: str, body: bytes, media_type: str
) -> None:
    await stored(site, name, body)
    whole, head = await site.http.get(f"/v1/texts/{name}"), await site.http.head(f"/v1/texts/{name}")
    answers = [whole, head]
    if body:
        answers.append(await site.http.get(f"/v1/texts/{name}", headers={"Range": "bytes=-1"}))
    for answer in answers:
        assert answer.headers["content-type"] == media_type
        assert answer.headers["x-content-type-options"] == "nosniff"
