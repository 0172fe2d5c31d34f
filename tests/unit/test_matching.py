"""The search against a slow and obvious one, however the text is cut."""

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from jobs.errors import JobError
from worker.matching import Piece, Tally, Words, search


JSON = TypeAdapter(Tally)


class Options(NamedTuple):
    ignore_case: bool = False
    ignore_accents: bool = False
    whole_words: bool = False


class Found(NamedTuple):
    count: int
    places: list[tuple[int, int]]


class Report(NamedTuple):
    words: dict[str, Found]
    invalid_bytes: int


# The obvious way


def fold(character: str, options: Options) -> str:
    if options.ignore_accents and "\udc80" <= character <= "\udcff":
        return "\udcff"  # no byte that could make a character with the next, when a mark between them is gone
    if options.ignore_accents:
        character = "".join(c for c in unicodedata.normalize("NFD", character) if not unicodedata.combining(c))
    if options.ignore_case:
        character = "".join(fold_case(c) for c in character)
    return character


def fold_case(character: str) -> str:
    """Simple case folding, from full case folding: where that gives several characters, another rule has one, or none."""
    late = {"\u1fd3": "\u0390", "\u1fe3": "\u03b0", "\ufb05": "\ufb06"}  # since Unicode 15.1
    if character in late:
        return late[character]
    return next((form for form in (character.casefold(), character.lower()) if len(form) == 1), character)


def is_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LM" or category in ("Nd", "Nl", "Pc")


def touches(characters: list[str], at: int) -> bool:
    """Whether the character at `at - 1` belongs to the word that begins at `at`."""
    last = at - 1
    while last >= 0 and "\udc80" <= characters[last] <= "\udcbf":
        last -= 1
    strays = at - 1 - last
    if last < 0 or characters[last] == "\n":
        return strays > 0
    if characters[last] >= "\udc80" and characters[last] <= "\udcff":
        return True
    if strays and strays + len(characters[last].encode()) > 4:
        return True
    return is_word(characters[last])


def find(text: bytes, word: str, options: Options) -> Found:
    """Try every place, one after the other."""
    folded = [
        (form, index)
        for index, character in enumerate(text.decode(errors="surrogateescape"))
        for form in fold(character, options)
    ]
    forms = [form for form, _ in folded]
    pattern = [form for character in word for form in fold(character, options)]
    starts = []
    at = 0
    while at + len(pattern) <= len(forms):
        end = at + len(pattern)
        alone = not touches(forms, at) and not (
            end < len(forms) and ("\udc80" <= forms[end] <= "\udcff" or is_word(forms[end]))
        )
        if forms[at:end] == pattern and (alone or not options.whole_words):
            starts.append(folded[at][1])
            at = end
        else:
            at += 1
    original = text.decode(errors="surrogateescape")
    places = [(original.count("\n", 0, at) + 1, at - original.rfind("\n", 0, at)) for at in starts]
    return Found(len(starts), places)


def slowly(text: bytes, words: list[str], options: Options) -> Report:
    invalid = sum("\udc80" <= character <= "\udcff" for character in text.decode(errors="surrogateescape"))
    return Report({word: find(text, word, options) for word in words}, invalid)


# The way it is done


def in_chunks(text: bytes, size: int, first: int, last: int) -> Iterator[bytes]:
    return (text[at : min(at + size, last)] for at in range(first, last, size))


def quickly(
    text: bytes,
    words: list[str],
    options: Options,
    *,
    piece: int = 1 << 30,
    chunk: int = 1 << 30,
    block: int = 1 << 15,
    margin: int = 8192,
    resume: bool = False,
) -> Report:
    """Search piece by piece and put together what was found, as a merge does."""
    asked = Words(words, **options._asdict())
    found = {word: Found(0, []) for word in words}
    invalid = lines = last_line = 0
    for start in range(0, max(1, len(text)), piece):
        tally = Tally.start(start, asked.count)
        part = Piece(end=min(start + piece, len(text)), size=len(text), positions=1 << 30)
        while tally.at < part.end:
            resumed = tally.at
            for chunk_done in search(
                asked, tally, part, lambda first, last: in_chunks(text, chunk, first, last), margin=margin, block=block
            ):
                if resume and chunk_done and tally.at > resumed:
                    tally = JSON.validate_json(JSON.dump_json(tally))
                    break
        for word, number in asked.number.items():
            shifted = [
                (lines + place.line, place.column + (last_line if place.line == 1 else 0))
                for place in tally.places[number]
            ]
            found[word] = Found(found[word].count + tally.counts[number], found[word].places + shifted)
        invalid += tally.invalid_bytes
        lines += tally.lines
        last_line = tally.last_line + (0 if tally.lines else last_line)
    return Report(found, invalid)


ALPHABETS = [
    "aab",
    "aab \n",
    "ab-_ \n",
    "a\u00e9e\u0301 \n",
    "sS\u017fkK\u212a\u0130i\u0131 ",
    "\u00df\u1e9e\u03c3\u03c2\u03a3\u03bc\u00b5 \n",
]
INVALID = [b"\xff", b"\x80", b"\xe2", b"\xe2\x82", b"\xf0\x9d\x90", b"\xed\xa0\x80", b"\xc0\xaf"]


@st.composite
def cases(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    alphabet = draw(st.sampled_from([*ALPHABETS, "".join(ALPHABETS) + "\u2014\u6f22\U0001d400\U00010400\U00010428"]))
    letters = [character.encode() for character in alphabet]
    if draw(st.booleans()):
        letters += INVALID
    text = b"".join(draw(st.lists(st.sampled_from(letters), max_size=draw(st.sampled_from([5, 20, 60])))))
    plain = [character for character in alphabet if character != "\n"]
    words = draw(st.lists(st.text(st.sampled_from(plain), min_size=1, max_size=5), min_size=1, max_size=12))
    return text, words


@settings(max_examples=400, deadline=None)
@given(
    case=cases(),
    options=st.builds(Options, st.booleans(), st.booleans(), st.booleans()),
    piece=st.integers(1, 70),
    chunk=st.integers(1, 70),
    block=st.integers(1, 20),
    margin=st.integers(1, 100),
    resume=st.booleans(),
)
def test_any_cut_gives_what_the_obvious_way_gives(
    case: tuple[bytes, list[str]], options: Options, piece: int, chunk: int, block: int, margin: int, resume: bool
) -> None:
    text, words = case
    try:
        found = quickly(text, words, options, piece=piece, chunk=chunk, block=block, margin=margin, resume=resume)
    except JobError:
        assert any(not "".join(fold(c, options) for c in word) for word in words)
    else:
        assert found == slowly(text, words, options)
