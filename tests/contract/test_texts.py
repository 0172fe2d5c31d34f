"""What every text store promises: `jobs.ports.TextStore`, claim by claim."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from jobs.adapters.texts.names import fault
from jobs.adapters.texts.opening import open_texts
from jobs.adapters.texts.store import ObjectTexts
from jobs.errors import (
    RangeInvalidError,
    TextChangedError,
    TextExistsError,
    TextNameError,
    TextNotFoundError,
    TextTooLargeError,
)
from jobs.ports import TextStore
from tests.contract.conftest import reached
from tests.servers import S3, S3_URL

MIB = 1024 * 1024
LARGE = 9 * MIB  # several parts to write, several pieces to read
SMALL = 1000


@pytest.fixture(params=["file", "memory", "s3"])
async def texts(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TextStore]:
    """`file` is the local folder; `memory` goes the way of every remote object store, without the network."""
    match request.param:
        case "file":
            async with open_texts(tmp_path.as_uri(), "texts") as store:
                yield store
        case "memory":
            yield ObjectTexts(MemoryStore())
        case "s3":
            for name, value in S3.items():
                monkeypatch.setenv(name, value)
            async with reached(open_texts(f"{S3_URL}/{uuid4().hex}", "texts")) as store:
                yield store


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def cut(data: bytes, size: int = 65_536) -> AsyncIterable[bytes]:
    return chunks(*(data[at : at + size] for at in range(0, len(data), size)))


@cache
def varied(size: int, seed: int = 0) -> bytes:
    """No two pieces of it are alike, so that a mixed-up one shows."""
    return Random(seed).randbytes(size)


async def put(texts: TextStore, name: str, data: bytes = b"x") -> str:
    return (await texts.put(name, cut(data), limit=2 * LARGE)).etag


async def whole(texts: TextStore, name: str) -> bytes:
    async with texts.open(name) as pieces:
        return b"".join([piece async for piece in pieces])


async def names(texts: TextStore, pattern: str = "**", **page: object) -> Sequence[str]:
    return [text.name for text in await texts.list(pattern, **page)]  # type: ignore[arg-type]  # passed on


# Writing


@pytest.mark.parametrize("size", [0, 1, SMALL, LARGE])
async def test_what_was_put_is_read_back(texts: TextStore, size: int) -> None:
    data = varied(size)
    stored = await texts.put("a/b.txt", cut(data, 99_991), limit=size)
    found = await texts.stat("a/b.txt")
    assert (
        (stored.name, stored.size, stored.etag)
        == (found.name, found.size, found.etag)
        == ("a/b.txt", size, stored.etag)
    )
    assert await whole(texts, "a/b.txt") == data
    assert await texts.list("**") == [found]


async def test_pieces_are_a_few_mib_at_most(texts: TextStore) -> None:
    await texts.put("a", chunks(varied(LARGE)), limit=LARGE)
    async with texts.open("a") as pieces:
        assert max([len(piece) async for piece in pieces]) <= 8 * MIB


async def test_the_etag_changes_with_the_content_however_fast(texts: TextStore) -> None:
    etags = [await put(texts, "a", b"%04d" % number) for number in range(300)]
    for number in range(100):
        etags.append(await put(texts, "b", b"%04d" % (1000 + number)))
        await texts.delete("b")
    assert len(set(etags)) == len(etags)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("overwrite", [True, False])
async def test_a_text_over_the_limit_is_not_stored(texts: TextStore, size: int, overwrite: bool) -> None:
    with pytest.raises(TextTooLargeError):
        await texts.put("a", cut(varied(size)), limit=size - 1, overwrite=overwrite)
    assert await names(texts) == []


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
@pytest.mark.parametrize("overwrite", [True, False])
async def test_a_stream_that_breaks_stores_nothing(texts: TextStore, size: int, overwrite: bool) -> None:
    broken = FileNotFoundError("the caller's own error")

    async def breaking() -> AsyncIterator[bytes]:
        async for chunk in cut(varied(size)):
            yield chunk
        raise broken

    with pytest.raises(FileNotFoundError) as raised:
        await texts.put("a", breaking(), limit=LARGE, overwrite=overwrite)
    assert raised.value is broken
    assert await names(texts) == []


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_an_overwrite_that_breaks_leaves_the_old_text(texts: TextStore, size: int) -> None:
    etag = await put(texts, "a", b"old")
    with pytest.raises(TextTooLargeError):
        await texts.put("a", cut(varied(size)), limit=size - 1)
    assert (await texts.stat("a")).etag == etag
    assert await whole(texts, "a") == b"old"


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("overwrite", [True, False])
async def test_a_cancelled_put_stores_nothing(texts: TextStore, size: int, overwrite: bool) -> None:
    sent, never = asyncio.Event(), asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for chunk in cut(varied(size)):
            yield chunk
        sent.set()
        await never.wait()

    task = asyncio.create_task(texts.put("a", stalling(), limit=LARGE, overwrite=overwrite))
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await names(texts) == []


async def test_an_existing_text_is_refused_before_the_stream_is_read(texts: TextStore) -> None:
    await put(texts, "a", b"old")
    stream = cut(b"new")
    with pytest.raises(TextExistsError):
        await texts.put("a", stream, limit=SMALL, overwrite=False)
    assert [chunk async for chunk in stream] == [b"new"]
    assert await whole(texts, "a") == b"old"


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_of_two_that_create_a_text_at_once_one_wins(texts: TextStore, size: int) -> None:
    both = asyncio.Barrier(2)

    async def meeting(data: bytes) -> AsyncIterator[bytes]:
        await both.wait()  # by now, each has seen that there is no such text
        async for chunk in cut(data):
            yield chunk

    versions = [varied(size), varied(size, seed=1)]
    ends = await asyncio.gather(
        *(texts.put("a", meeting(data), limit=size, overwrite=False) for data in versions), return_exceptions=True
    )
    lost = [isinstance(end, TextExistsError) for end in ends]
    assert sorted(lost) == [False, True], ends
    assert await whole(texts, "a") == versions[lost.index(False)]
    assert await names(texts) == ["a"]


async def test_overwrites_at_once_leave_one_whole_text(texts: TextStore) -> None:
    versions = [varied(LARGE, seed) for seed in range(3)]
    etags = await asyncio.gather(*(put(texts, "a", data) for data in versions))
    found = await texts.stat("a")
    assert await whole(texts, "a") == versions[etags.index(found.etag)]


async def test_a_text_shows_only_when_it_is_whole(texts: TextStore) -> None:
    await put(texts, "old", b"old")
    seen = []

    async def watched(name: str) -> AsyncIterator[bytes]:
        async for chunk in cut(varied(LARGE), MIB):
            yield chunk
            seen.append([(text.name, text.size) for text in await texts.list("**")])
            assert name == "new" or await texts.read("old", 0, SMALL) == b"old"

    await texts.put("new", watched("new"), limit=LARGE)
    assert set(map(str, seen)) == {"[('old', 3)]"}
    await texts.put("old", watched("old"), limit=LARGE)
    assert await names(texts) == ["new", "old"]


# Reading


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 10), (3, 7), (9, 10), (3, 99), (9, 2**70), (4, 4), (0, 0)])
async def test_a_range_is_what_a_slice_is(texts: TextStore, start: int, end: int) -> None:
    await put(texts, "a", b"0123456789")
    assert await texts.read("a", start, end) == b"0123456789"[start:end]
    async with texts.open("a", start, end) as pieces:
        assert b"".join([piece async for piece in pieces]) == b"0123456789"[start:end]


async def test_a_range_may_span_pieces(texts: TextStore) -> None:
    data = varied(LARGE)
    await put(texts, "a", data)
    assert await texts.read("a", MIB - 1, LARGE - 1) == data[MIB - 1 : -1]
    async with texts.open("a", MIB - 1, LARGE - 1) as pieces:
        assert b"".join([piece async for piece in pieces]) == data[MIB - 1 : -1]
    async with texts.open("a", MIB - 1) as pieces:
        assert b"".join([piece async for piece in pieces]) == data[MIB - 1 :]


@pytest.mark.parametrize(("start", "end"), [(10, 11), (10, 10), (99, 2**70), (2**70, 2**71), (-1, 5), (5, 4)])
async def test_a_range_outside_the_text_is_refused(texts: TextStore, start: int, end: int) -> None:
    await put(texts, "a", b"0123456789")
    with pytest.raises(RangeInvalidError):
        await texts.read("a", start, end)
    with pytest.raises(RangeInvalidError):
        async with texts.open("a", start, end):
            pass


async def test_an_empty_text_can_be_read_from_its_start(texts: TextStore) -> None:
    await put(texts, "a", b"")
    assert await texts.read("a", 0, 0) == await texts.read("a", 0, 10) == await whole(texts, "a") == b""
    with pytest.raises(RangeInvalidError):
        await texts.read("a", 1, 2)


async def test_reading_can_insist_on_a_version(texts: TextStore) -> None:
    old = await put(texts, "a", b"old")
    new = await put(texts, "a", b"new")
    assert await texts.read("a", 0, 3, etag=new) == b"new"
    for other in (old, "*", "", f"{old}, {new}"):
        for start, end in ((0, 3), (0, 0), (9, 10)):
            with pytest.raises(TextChangedError):
                await texts.read("a", start, end, etag=other)
        with pytest.raises(TextChangedError):
            async with texts.open("a", etag=other):
                pass


async def test_a_text_replaced_while_it_is_read_ends_the_reading(texts: TextStore) -> None:
    """Never a mixture: what came out before the error is from the old text."""
    old, new = varied(LARGE), varied(LARGE, seed=7)
    await put(texts, "a", old)
    got = []
    async with texts.open("a") as pieces:
        got.append(await anext(pieces))
        await put(texts, "a", new)
        with pytest.raises(TextChangedError):
            got.extend([piece async for piece in pieces])
    assert len(got) == 1
    assert old.startswith(got[0])


async def test_a_text_deleted_while_it_is_read_ends_the_reading(texts: TextStore) -> None:
    await put(texts, "a", varied(LARGE))
    async with texts.open("a") as pieces:
        await anext(pieces)
        await texts.delete("a")
        with pytest.raises(TextNotFoundError):
            await anext(pieces)


async def test_reading_can_stop_early(texts: TextStore) -> None:
    await put(texts, "a", varied(LARGE))
    async with texts.open("a") as pieces:
        async for piece in pieces:
            assert piece == varied(LARGE)[: len(piece)]
            break
    await texts.delete("a")


async def test_what_is_not_there_is_not_found(texts: TextStore) -> None:
    await put(texts, "a/b")
    for name in ("b", "a", "a/b/c", "a/B"):
        with pytest.raises(TextNotFoundError):
            await texts.stat(name)
        with pytest.raises(TextNotFoundError):
            await texts.read(name, 0, 1)
        with pytest.raises(TextNotFoundError):
            async with texts.open(name):
                pass
        with pytest.raises(TextNotFoundError):
            await texts.delete(name)
    assert await names(texts) == ["a/b"]


async def test_a_deleted_text_is_gone_and_its_name_is_free(texts: TextStore) -> None:
    await put(texts, "a/b/c")
    await texts.delete("a/b/c")
    assert await names(texts) == []
    with pytest.raises(TextNotFoundError):
        await texts.delete("a/b/c")
    await put(texts, "a", b"now a text, no folder")
    assert await names(texts) == ["a"]


# Listing

LIBRARY = ["a.txt", "b[1].txt", "books/a.txt", "books/b.md", "books/old/a.txt", "books2/a.txt", "é.txt"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a.txt", "b[1].txt", "é.txt"]),
        ("**", LIBRARY),
        ("?.txt", ["a.txt", "é.txt"]),
        ("*/a.txt", ["books/a.txt", "books2/a.txt"]),
        ("**/a.txt", ["a.txt", "books/a.txt", "books/old/a.txt", "books2/a.txt"]),
        ("**a.txt", ["a.txt", "books/a.txt", "books/old/a.txt", "books2/a.txt"]),
        ("books/**", ["books/a.txt", "books/b.md", "books/old/a.txt"]),
        ("books/**/a.txt", ["books/a.txt", "books/old/a.txt"]),
        ("books/*", ["books/a.txt", "books/b.md"]),
        ("books?/*", ["books2/a.txt"]),
        ("boo*/old/?.txt", ["books/old/a.txt"]),
        ("books/a*", ["books/a.txt"]),
        ("b[1].txt", ["b[1].txt"]),
        ("b[1]*", ["b[1].txt"]),
        ("[ab]*", []),
        ("a.txt", ["a.txt"]),
        ("a?txt", ["a.txt"]),
        ("books", []),
        ("books/", []),
        ("BOOKS/*", []),
        ("a.txt/*", []),
        ("nowhere/*", []),
        ("", []),
        ("../*", []),
        ("../**", []),
        ("books/../*", []),
        ("/*", []),
        ("/etc/*", []),
        ("./*", []),
        (".*", []),
        ("\0*", []),
        ("\udc80*", []),
        ("\\*", []),
    ],
)
async def test_a_glob_lists_what_it_says(texts: TextStore, pattern: str, expected: Sequence[str]) -> None:
    for name in reversed(LIBRARY):
        await put(texts, name)
    assert await names(texts, pattern) == expected


# In the order of code points. UTF-16 would have the last two the other way round, a file tree "a/b" before "a-b".
ORDERED = ["A", "Z", "a", "a b", "a-b", "a.b", "a0", "b/c", "b0", "c-/d", "c/d", "c0/d", "é", "ﬀ", "𝄞"]


async def test_texts_come_in_code_point_order(texts: TextStore) -> None:
    for name in reversed(ORDERED):
        await put(texts, name)
    assert await names(texts) == sorted(ORDERED) == ORDERED


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7, 1000])
async def test_pages_add_up_to_the_whole(texts: TextStore, limit: int) -> None:
    for name in ORDERED:
        await put(texts, name)
    found: list[str] = []
    while page := await names(texts, after=found[-1] if found else "", limit=limit):
        assert len(page) <= limit
        found += page
    assert found == (ORDERED if limit else [])


@pytest.mark.parametrize("after", ["c-/", "c", "c/", "../", "\0", "c\0", "\udc80", "a" * 5000, "b/zzz/y"])
async def test_a_page_may_start_after_what_is_no_name(texts: TextStore, after: str) -> None:
    for name in ORDERED:
        await put(texts, name)
    assert await names(texts, after=after) == [name for name in ORDERED if name > after]
    assert await names(texts, "c*/d", after=after) == [name for name in ("c-/d", "c/d", "c0/d") if name > after]
    assert await names(texts, "é", after=after) == [name for name in ("é",) if name > after]


async def test_a_malicious_pattern_takes_no_time_to_speak_of(texts: TextStore) -> None:
    """With plain backtracking, each of these would outlive the machine."""
    await put(texts, "a" * 250)
    for pattern in ("*a" * 100 + "b", "**a" * 100 + "b", "**a*a" * 50 + "b", "?*" * 100 + "b"):
        assert await names(texts, pattern) == []


# Names

GOOD = [
    *("with space", " ", "100%", "%2e%2e/x", "%2F", "a%00b", "#", "a#", "#x", "a#1.txt", "a#1/b", "~", "C:/x", "1:"),
    *("日本語/テキスト", "עברית", "ελληνικά", "e\u0301", "\u200b", "🐝", "a" * 255, "/".join(["a" * 127] * 4)),
    *("$x", '"q"', "'q'", "<a>", "{b}", "[c]", "^", "`", "a;b", "a,b", "a+b", "a@b", "a!", "c|/d", "a&b=c"),
    *("-", "-rf", "x.", "x..y", "CON"),
]


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_name_comes_back_as_it_is(texts: TextStore, name: str) -> None:
    await put(texts, name, name.encode())
    assert [text.name for text in await texts.list("**")] == [name] == [(await texts.stat(name)).name]
    assert await whole(texts, name) == name.encode()
    await texts.delete(name)
    assert await names(texts) == []


BAD = [
    *("", "/", "/a", "a/", "a//b", ".", "..", "../x", "a/../b", "a/./b", ".hidden", "a/.b", ".staging/x"),
    *("\0", "a\0b", "a\nb", "a\x7fb", "a\x85b", "\ud800", "a\\b", "..\\x", "a*", "a?"),
    *("a" * 256, "é" * 128, "a/" * 300 + "a", "x" * 4096, "a#1", "#22", "b/c#3", "C:", "a/b|"),
]


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_name_is_refused_with_a_sentence(texts: TextStore, name: str) -> None:
    with pytest.raises(TextNameError, match=r"^.{1,100} is no text name: .{5,60}$"):
        await put(texts, name)
    with pytest.raises(TextNameError):
        await texts.stat(name)
    with pytest.raises(TextNameError):
        await texts.read(name, 0, 1)
    with pytest.raises(TextNameError):
        async with texts.open(name):
            pass
    with pytest.raises(TextNameError):
        await texts.delete(name)
    assert await names(texts) == []


PART = st.text(st.characters(codec="utf-8", categories=["L", "M", "N", "P", "S", "Z"]), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(name=st.lists(PART, min_size=1, max_size=4).map("/".join))
async def test_any_name_either_comes_back_as_it_is_or_is_refused(texts: TextStore, name: str) -> None:
    assume("#" not in name or fault(name) is None)
    if fault(name):
        with pytest.raises(TextNameError):
            await put(texts, name)
        return
    await put(texts, name, name.encode())
    assert await names(texts) == await names(texts, name) == await names(texts, f"{name[0]}**") == [name]
    assert await texts.read(name, 0, 1000) == name.encode()
    await texts.delete(name)


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b/c", "a/b"), ("a", "a/b/c")])
async def test_a_text_and_a_folder_of_one_name_live_together_or_the_second_is_refused(
    texts: TextStore, first: str, second: str, overwrite: bool
) -> None:
    await put(texts, first, b"first")
    try:
        await texts.put(second, chunks(b"second"), limit=SMALL, overwrite=overwrite)
    except TextNameError as refused:
        stored, reason = [first], str(refused)
    else:
        stored, reason = [first, second], "cannot be stored"
    assert "cannot be stored" in reason
    assert await names(texts) == sorted(stored)
    assert await whole(texts, first) == b"first"
