"""The search against a slow and obvious one, however the text is cut."""

import codecs
import random
import unicodedata
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from essaim.errors import JobError
from essaim_words.matching import MARK_BYTES, Encoding, Piece, Tally, Words, search
from essaim_words.matching.folding import Folding
from workloads.words.tests.obvious_search import Found, Options, Report, fold_case, is_accent, slowly

JSON = TypeAdapter(Tally)
HUGE = 1 << 30


class Cuts(NamedTuple):
    """Sizes in bytes. With `resume`, the search stops after each chunk that brought it on, and another goes on."""

    piece: int = HUGE
    chunk: int = HUGE
    block: int = 1 << 15
    margin: int = 8192
    resume: bool = False


WHOLE = Cuts()


def in_chunks(text: bytes, size: int, first: int, last: int) -> Iterator[bytes]:
    return (text[at : min(at + size, last)] for at in range(first, last, size))


def search_piece(text: bytes, words: Words, start: int, cuts: Cuts) -> Tally:
    tally = Tally.start(start, words.count)
    end, encoding = min(start + cuts.piece, len(text)), Encoding.of(text[:MARK_BYTES])
    piece = Piece(end=end, size=len(text), positions=HUGE, encoding=encoding)
    done = False
    while not done:
        resumed, done = tally.at, True
        for is_chunk_done in search(
            words,
            tally,
            piece,
            lambda first, last: in_chunks(text, cuts.chunk, first, last),
            margin=cuts.margin,
            block=cuts.block,
        ):
            if cuts.resume and is_chunk_done and tally.at > resumed:
                tally, done = JSON.validate_json(JSON.dump_json(tally)), False
                break
    return tally


def quickly(text: bytes, words: list[str], options: Options, cuts: Cuts) -> Report:
    """Search piece by piece, and put together what was found as a merge does."""
    asked = Words(words, **options._asdict())
    found = {word: Found(0, []) for word in words}
    invalid = lines = last_line = 0
    for start in range(0, len(text), cuts.piece):
        tally = search_piece(text, asked, start, cuts)
        for word, number in asked.number.items():
            places = [
                (lines + line, column + (last_line if line == 1 else 0), snippet)
                for line, column, snippet in tally.places[number]
            ]
            found[word] = Found(found[word].total + tally.counts[number], found[word].places + places)
        invalid += tally.invalid_bytes
        lines += tally.lines
        last_line = tally.last_line + (0 if tally.lines else last_line)
    return Report(found, invalid)


def without_snippets(report: Report) -> Report:
    words = {
        word: Found(total, [(*place[:2], "") for place in places]) for word, (total, places) in report.words.items()
    }
    return report._replace(words=words)


OPTIONS = st.builds(Options, st.booleans(), st.booleans(), st.booleans())

ALPHABETS = [
    "aab",
    "aab \n",
    "ab-_ \n",
    "a\u00e9e\u0301 \n",
    "sS\u017fkK\u212a\u0130i\u0131 ",
    "\u00df\u1e9e\u03c3\u03c2\u03a3\u03bc\u00b5 \n",
    "aA\u2014\u6f22\u1100\uac00\U0001d400\U00010400\U00010428 \r\n",
    "\u1100\u1161\u11a8\uac00\uac01 ",  # Hangul, as letters and as syllables
    "\u304b\u304c\u3099\u0915\u0958\u093c\u094d\u0301 ",  # Japanese and Hindi
    "\u0438\u0439\u0306\u01a1\u031bo\u1edb\u0301\u2260=\u0338 ",  # Cyrillic, Vietnamese, a stroke
]

INVALID = [b"\xff", b"\x80", b"\xe2", b"\xe2\x82", b"\xf0\x9d\x90", b"\xed\xa0\x80", b"\xc0\xaf"]


MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


def encoded(text: bytes, encoding: str, dice: random.Random) -> bytes:
    """The text in another encoding. Where it is no UTF-8, that is no text either; its end may be half a character."""
    if encoding != "utf-8":
        characters = text.decode(errors="surrogateescape")
        if not text.isascii() and dice.random() < 0.5:
            characters = characters.replace("a", "\ud800" * dice.randint(1, 2))
        text = characters.encode(encoding, "surrogatepass") + b"\xd8" * dice.choice([0, 0, 0, 1, 2, 3])
    return MARKS[encoding] + text


@st.composite
def texts_and_words(draw: st.DrawFn, size: int) -> tuple[bytes, list[str]]:
    alphabet = draw(st.sampled_from([*ALPHABETS, "".join(ALPHABETS)]))
    letters = [character.encode() for character in alphabet] + draw(
        st.sampled_from([[], [], INVALID, [b"a", b" "] * 20])
    )
    dice = random.Random(draw(st.integers(0, 1 << 32)))
    text = b"".join(dice.choices(letters, k=draw(st.integers(0, size))))
    if draw(st.integers(0, 3)) == 0:
        text = text[: draw(st.integers(1, 6))] * draw(st.integers(1, size // 4))
    asked = [character for character in alphabet if character not in "\r\n"]
    words = draw(st.lists(st.text(st.sampled_from(asked), min_size=1, max_size=4), min_size=1, max_size=12))
    encoding = draw(st.sampled_from([None, None, *MARKS]))
    return text if encoding is None else encoded(text, encoding, dice), [
        word for word in words if Folding(False, True).text(word)
    ] or ["a"]


@settings(max_examples=150, deadline=None)
@given(
    case=texts_and_words(60),
    options=OPTIONS,
    cuts=st.builds(
        Cuts, st.integers(1, 70), st.integers(1, 70), st.integers(1, 20), st.integers(1, 110), st.booleans()
    ),
)
def test_every_cut_gives_what_the_obvious_way_gives(
    case: tuple[bytes, list[str]], options: Options, cuts: Cuts
) -> None:
    text, words = case
    found, expected = quickly(text, words, options, cuts), slowly(text, words, options)
    if cuts.margin < 100:  # too narrow for all of a snippet
        found, expected = without_snippets(found), without_snippets(expected)
    assert found == expected


@settings(max_examples=30, deadline=None)
@given(
    case=texts_and_words(3000),
    options=OPTIONS,
    cuts=st.builds(
        Cuts,
        st.sampled_from([500, 4000, HUGE]),
        st.integers(300, 3000),
        st.integers(20, 2000),
        st.integers(100, 1000),
        st.booleans(),
    ),
)
def test_long_texts_give_what_the_obvious_way_gives(
    case: tuple[bytes, list[str]], options: Options, cuts: Cuts
) -> None:
    """Long enough for the ways that are there for speed."""
    text, words = case
    assert quickly(text, words, options, cuts) == slowly(text, words, options)


def count(text: str, *words: str, cuts: Cuts = WHOLE, **options: bool) -> list[int]:
    found = quickly(text.encode(), list(words), Options(**options), cuts).words
    return [found[word].total for word in words]


@pytest.mark.parametrize("length", [60_000, 60_001])
def test_a_word_that_overlaps_itself_is_counted_from_the_first_of_its_chain_on(length: int) -> None:
    text = "b" + "a" * length
    cuts = Cuts(piece=20_001, chunk=5000, block=1000, margin=100)
    assert count(text, "aa", "aaa", "aba", cuts=cuts) == [length // 2, length // 3, 0]


@pytest.mark.parametrize("margin", [1, 2, 3])
def test_what_reaches_into_a_piece_is_known_however_little_is_read_before_it(margin: int) -> None:
    words = ["aa", "aba", "abab", "abaab"]
    for letters in product("ab", repeat=9):
        text = "".join(letters).encode()
        expected = slowly(text, words, Options()).words
        for piece in (1, 2, 3, 5):
            found = quickly(text, words, Options(), Cuts(piece=piece, margin=margin)).words
            assert [found[word].total for word in words] == [expected[word].total for word in words], (text, piece)


def test_marks_without_end_between_letters_are_still_ignored() -> None:
    text = "-e" + "\u0301" * 15_000 + "t" + "\u0301" * 15_000 + "\u00e9-"
    cuts = Cuts(piece=20_000, chunk=5000, margin=100)
    assert count(text, "ete", "et", cuts=cuts, ignore_accents=True, whole_words=True) == [1, 0]


def test_composed_and_decomposed_letters_are_the_same_without_accents() -> None:
    text = "\u00e9t\u00e9 e\u0301te\u0301 ete \u00c9t\u00e9"
    assert count(text, "\u00e9t\u00e9", ignore_accents=True) == [3]
    assert count(text, "e\u0301te", ignore_accents=True, ignore_case=True) == [4]
    assert count(text, "ete") == [1]


def test_a_mark_belongs_to_words_unless_accents_are_ignored() -> None:
    text = "cafe cafe\u0301 cafe\u0301s"
    assert count(text, "cafe", whole_words=True) == [1]
    assert count(text, "cafe", whole_words=True, ignore_accents=True) == [2]


def test_no_letter_is_made_of_bytes_that_a_mark_keeps_apart() -> None:
    apart = b"\xc3" + "\u0301".encode() + b"\x9f"
    found = quickly(apart, ["\u00df"], Options(ignore_accents=True), WHOLE)
    assert found == Report({"\u00df": Found(0, [])}, invalid_bytes=2)


def test_letters_that_differ_by_more_than_a_mark_stay_different() -> None:
    assert count("\u00f8 \u0142 \u00df \u0131", "o", "l", "ss", "i", ignore_accents=True, ignore_case=True) == [0] * 4


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("\uac01", "\uac00"),  # Korean gak, ga
        ("\u304c", "\u304b"),  # Japanese ga, ka
        ("\u304b\u3099", "\u304b\u3099a"),
        ("\u0958", "\u0915"),  # Hindi qa, ka
        ("\u0622", "\u0627"),  # Arabic alef with madda, alef
        ("\ufb2a", "\u05e9"),  # Hebrew shin with its dot, without
        ("\u2260", "="),
    ],
)
def test_what_belongs_to_a_letter_is_no_accent(text: str, part: str) -> None:
    assert count(text, text, part, ignore_accents=True) == [1, 0]


def test_ignoring_accents_changes_nothing_but_accents() -> None:
    """Each character stays, or becomes one other, or was an accent itself."""
    folding = Folding(ignore_case=False, ignore_accents=True)
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    changed = {character: form for character in characters if (form := folding.text(character)) != character}
    assert {character for character, form in changed.items() if not form} == {"\u0344", *filter(is_accent, characters)}
    assert {len(form) for form in changed.values()} == {0, 1}
    scripts = {unicodedata.name(form).split()[0] for form in changed.values() if form}
    assert scripts == {"LATIN", "GREEK", "CYRILLIC", "DIAERESIS"}


@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize("piece", [1, 3, 7, 1001])
def test_a_text_with_a_byte_order_mark_is_decoded_wherever_it_is_cut(encoding: str, piece: int) -> None:
    line = "a swarm \U0001f41d\U0001f41d Schw\u00e4rme\r\n" * 20
    text = MARKS[encoding] + line.encode(encoding)
    words = ["swarm", "\U0001f41d", "schwarme", "\ufeff"]
    found = quickly(text, words, Options(True, True, True), Cuts(piece=piece, chunk=5, margin=700, resume=True))
    assert [found.words[word].total for word in words] == [20, 40, 20, 0]
    assert found.words["swarm"].places[:2] == [
        (line, 3, "a swarm \U0001f41d\U0001f41d Schw\u00e4rme") for line in (1, 2)
    ]


def test_a_chain_of_matches_is_followed_from_its_start_in_a_decoded_text() -> None:
    text = MARKS["utf-16-le"] + ("b" + "a" * 60_001).encode("utf-16-le")
    found = quickly(text, ["aa"], Options(), Cuts(piece=20_001, chunk=5000, block=1000, margin=100)).words
    assert found["aa"].total == 30_000


def test_a_word_that_is_nothing_but_marks_is_refused_when_accents_are_ignored() -> None:
    with pytest.raises(JobError, match="nothing is left"):
        Words(["a", "\u0301"], ignore_case=False, ignore_accents=True, whole_words=False)
    assert count("e\u0301", "\u0301") == [1]


def test_words_that_compare_equal_get_their_counts_each() -> None:
    assert count("Kelvin kelvin \u212aelvin", "kelvin", "KELVIN", ignore_case=True, whole_words=True) == [3, 3]
    assert count("Kelvin kelvin \u212aelvin", "kelvin", "KELVIN", "Kelvin") == [1, 0, 1]


def test_more_words_than_an_automaton_filters_at_once_are_all_found() -> None:
    words = [f"w{number}" for number in range(1000)]
    text = " ".join(words * 3) + " " + "".join(words)
    for some in (words, words[:150]):
        assert count(text, *some, whole_words=True) == [3] * len(some)
        assert count(text, *some, whole_words=True, ignore_case=True) == [3] * len(some)
    assert count("w1w12w123", "w1", "w12", "w123", "2w1", whole_words=False) == [3, 2, 1, 1]


def test_snippets_are_of_the_text_as_it_is() -> None:
    text = "x\r\n" + "\u6f22" * 30 + "\u00c9T\u00c9 " + "\U0001f41d" * 60 + "\r\n"
    found = quickly(text.encode(), ["ete"], Options(True, True, False), Cuts(piece=64)).words["ete"]
    assert found.places == [(2, 31, "\u6f22" * 24 + "\u00c9T\u00c9 " + "\U0001f41d" * 52)]


def test_a_text_that_ends_too_early_is_an_error_and_no_endless_search() -> None:
    words = Words(["a"], ignore_case=False, ignore_accents=False, whole_words=False)
    with pytest.raises(EOFError):
        list(search(words, Tally.start(0, 1), Piece(10, 10, 0), lambda first, last: iter([b"aaa"])))


def test_simple_folding_is_right_for_every_character_that_may_have_a_case() -> None:
    """Of two characters, the forms are equal exactly if their simple case foldings are."""
    folding = Folding(ignore_case=True, ignore_accents=False)
    caseless = {"Lo", "Cn", "Cs", "Co"}
    characters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in caseless]
    forms = {character: folding.text(character) for character in characters}
    assert {len(form) for form in forms.values()} == {1}
    pairs = {(fold_case(character), form) for character, form in forms.items()}
    assert len(pairs) == len({folded for folded, _ in pairs}) == len({form for _, form in pairs})
