"""What every text store promises of reading: what a range gives, and what becomes of who reads a text while it changes."""

import pytest

from essaim.errors import RangeInvalidError, TextChangedError, TextNotFoundError
from essaim.jobs.ports import TextStore
from tests.contract.texts import LARGE, MIB, names, put, refused, varied, whole


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
        await refused(texts, name, TextNotFoundError)
    assert await names(texts) == ["a/b"]


async def test_a_deleted_text_is_gone_and_its_name_is_free(texts: TextStore) -> None:
    await put(texts, "a/b/c")
    await texts.delete("a/b/c")
    assert await names(texts) == []
    with pytest.raises(TextNotFoundError):
        await texts.delete("a/b/c")
    await put(texts, "a", b"now a text, no folder")
    assert await names(texts) == ["a"]
