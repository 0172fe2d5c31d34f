"""What a job finds, whatever its texts are cut into."""

import pytest

from essaim.errors import TextChangedError, TextNotFoundError
from essaim_words.payload import MIB, Position, Request, WordMatches
from essaim_words.workload import split
from essaim_worker.attempt import Attempt
from workloads.words.tests.conftest import Library, chunks


def test_a_job_finds_what_stands_where(library: Library) -> None:
    library.put("hive", "A swarm.\nTwo swarms, one swarm.")
    library.put("garden", "no bees")
    result = library.job(Request(words=["swarm", "bees", "wasp"], texts=["hive", "garden"], positions=1))
    assert result.counts == {"swarm": 2, "bees": 1, "wasp": 0}
    assert result.texts["hive"].words == {
        "swarm": WordMatches(count=2, positions=[Position(line=1, column=3, snippet="A swarm.")])
    }
    assert list(result.texts["garden"].words) == ["bees"]


def test_the_request_s_own_text_is_called_text(library: Library) -> None:
    result = library.job(Request(words=["\u00e9t\u00e9"], text="l'\u00c9t\u00e9", ignore_case=True))
    found = result.texts["text"].words["\u00e9t\u00e9"]
    assert found == WordMatches(count=1, positions=[Position(line=1, column=3, snippet="l'\u00c9t\u00e9")])


@pytest.mark.parametrize("piece_bytes", [64, 100, 1000])
def test_pieces_together_find_what_the_whole_finds(library: Library, piece_bytes: int) -> None:
    text = "".join(f"{'ab' * (n % 7)}\u00e9aa aaa {n}{' ' if n % 5 else chr(10)}" for n in range(500))
    library.put("text", text.encode() + b"\xff\xe2\x82 aa")
    whole = Request(words=["aa", "aaa", "\u00e9a", "a a", "499"], texts=["text"], whole_words=False, positions=100)
    pieces = whole.model_copy(update={"piece_bytes": piece_bytes})
    assert len(split(pieces, library.texts)) > 5
    assert library.job(pieces) == library.job(whole)


def test_bytes_that_are_no_utf_8_are_searched_and_reported(library: Library) -> None:
    library.put("bad", b"\xffbee\xc3 bee \xe2\x82bee\n\xed\xa0\x80 caf\xc3\xa9")
    result = library.job(Request(words=["bee", "caf\u00e9"], texts=["bad"], whole_words=False))
    assert result.counts == {"bee": 3, "caf\u00e9": 1}
    assert result.texts["bad"].invalid_bytes == 7
    assert result.texts["bad"].words["bee"].positions[0] == Position(
        line=1, column=2, snippet="\ufffdbee\ufffd bee \ufffd\ufffdbee"
    )


@pytest.mark.parametrize(("change", "error"), [("put", TextChangedError), ("delete", TextNotFoundError)])
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_text_that_does_not_stay_as_it_was_is_not_searched(
    library: Library, change: str, error: type[Exception], when: str
) -> None:
    library.put("text", b"swarm " * (60 * MIB // 6))
    request = Request(words=["swarm"], texts=["text"])
    _, task = split(request, library.texts)

    async def interfere(attempt: Attempt | None = None) -> None:
        if change == "delete":
            await library.store.delete("text")
        else:
            await library.store.put("text", chunks(b"other"), limit=100)

    async def interfere_once(attempt: Attempt) -> None:
        nonlocal when
        if when == "during":
            when = "done"
            await interfere()

    if when == "before":
        library.wait(interfere())
    with pytest.raises(error, match="text"):
        library.attempt(request, task, on_save=interfere_once)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("piece_bytes", [65, 1000, 1 << 20])
def test_a_text_is_decoded_as_its_byte_order_mark_says(library: Library, encoding: str, piece_bytes: int) -> None:
    bees = "\U0001f41d\U0001f41d"
    text = "".join(f"swarm {bees[: n % 3]} \u00e9t\u00e9 {n}\n" for n in range(200))
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    library.put("text", (mark + text).encode(encoding) + b"\xd8\xd8")
    library.put("plain", text)
    asked = Request(words=["swarm", "\u00e9t\u00e9", bees], texts=["*"], whole_words=False, positions=100)
    result = library.job(asked.model_copy(update={"piece_bytes": piece_bytes}))
    assert result.texts["text"].words == result.texts["plain"].words
    assert result.texts["text"].words["swarm"].count == 200
    assert result.texts["plain"].encoding == "utf-8"
    assert result.texts["text"].encoding == encoding.removesuffix("-sig")
    assert (result.texts["text"].invalid_bytes, result.texts["plain"].invalid_bytes) == (2, 0)
