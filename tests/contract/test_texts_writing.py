"""What every text store promises of writing: that a text is there as a whole or not at all, whoever writes at the same time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from essaim.errors import TextExistsError, TextTooLargeError
from essaim.jobs.ports import TextStore
from tests.contract.texts import LARGE, MIB, SMALL, chunks, cut, names, put, varied, whole


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
