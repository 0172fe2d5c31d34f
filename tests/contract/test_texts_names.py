"""What every text store promises of names: which there may be, and that they come back as they are."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from essaim.errors import TextNameError
from essaim.jobs.adapters.texts.names import fault
from essaim.jobs.ports import TextStore
from tests.contract.texts import SMALL, chunks, names, put, refused, whole

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
    await refused(texts, name, TextNameError)
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
