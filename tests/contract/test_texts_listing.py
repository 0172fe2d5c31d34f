"""What every text store promises of listing: globs, order and pages."""

from collections.abc import Sequence

import pytest

from essaim.jobs.ports import TextStore
from tests.contract.texts import names, put

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
