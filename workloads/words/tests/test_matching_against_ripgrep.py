"""The search against ripgrep itself: the same counts, word by word."""

import codecs
import random
import subprocess
import sys
import unicodedata
from collections import defaultdict
from itertools import product
from pathlib import Path

import pytest

from essaim_words.matching import MARK_BYTES, Encoding, Piece, Tally, Words, search
from essaim_words.matching.folding import Folding, is_word

RIPGREP = Path(sys.executable).with_name("rg")
LETTERS = [
    *"aab -_.\n",
    *"\u00e9\u00c9e\u0301\u00e4\u00df\u1e9e\u0130\u0131i",
    *"sSk\u017f\u212a\u03c3\u03c2\u03a3\u00b5\u03bc\u0345\u03b9\ufb06",
    *"\u2014\u00bd\u2167\u24d0\u200d\u6f22\U0001d400\U00010400\U00010428\U0001f170\ufeff",
]
TWINS = {"\ufb05": "\ufb06", "\u1fd3": "\u0390", "\u1fe3": "\u03b0"}  # equal since Unicode 15.1; this ripgrep has 15.0
INVALID = [b"\xff", b"\x80", b"\x80\x80", b"\xe2", b"\xe2\x82", b"\xf0\x9d\x90", b"\xed\xa0\x80", b"\xc0\xaf", b"\x00"]


def ripgrep(*arguments: str | Path, folder: Path) -> str:
    done = subprocess.run([RIPGREP, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def counts_of_ripgrep(folder: Path, word: str, *options: str) -> dict[str, int]:
    command = ["--count-matches", "--with-filename", "-F", "-a", *options, "--", word, "."]
    lines = (line.rpartition(":") for line in ripgrep(*command, folder=folder).splitlines())
    return defaultdict(int, {Path(name).name: int(count) for name, _, count in lines})


def counts(words: Words, text: bytes, piece: int) -> list[int]:
    total = [0] * words.count
    for start in range(0, len(text), piece):
        tally = Tally.start(start, words.count)
        end, encoding = min(start + piece, len(text)), Encoding.of(text[:MARK_BYTES])
        part = Piece(end=end, size=len(text), positions=0, encoding=encoding)
        for _ in search(words, tally, part, lambda first, last: [text[first:last]], margin=64, block=700):
            pass
        total = [before + count for before, count in zip(total, tally.counts, strict=True)]
    return total


def random_texts(dice: random.Random) -> list[bytes]:
    texts = [
        before + b"ab" + after for before, after in product([b"", b"\n", b" ", b"a", b"\xe2\x80\x94"], [b"", *INVALID])
    ]
    texts += [before + stray + b"ab" for before, stray in product([b"", b"\n", b" ", b"a", b"\xe2\x80\x94"], INVALID)]
    for number in range(120):
        letters = LETTERS if number % 2 else dice.sample(LETTERS, 5)
        invalid = INVALID if number % 3 == 0 else []
        length = 3000 if number % 10 == 0 else dice.choice([5, 30, 300])
        text = b"".join(dice.choices([*(letter.encode() for letter in letters), *invalid], k=length))
        # After a line end, ripgrep judges a stray byte by the line alone or not, as its search for that word happens to go.
        texts.append(text.replace(b"\n\x80", b"\n \x80"))
    return [*texts, *wide_texts(dice)]


def wide_texts(dice: random.Random) -> list[bytes]:
    """UTF-16 and UTF-8 with byte order marks; the former with halves of pairs, and ends in the middle of a character."""
    texts = [codecs.BOM_UTF8 + b"ab \xff ab", codecs.BOM_UTF8 + codecs.BOM_UTF8 + b"ab", b"\xff", b"\xef\xbb"]
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        texts += [mark, mark + b"a"]
        for number in range(60):
            letters = LETTERS if number % 2 else dice.sample(LETTERS, 5)
            text = "".join(
                dice.choices([*letters, *["\ud83d", "\udc1d"] * (number % 3)], k=dice.choice([5, 30, 300, 3000]))
            )
            text = text.lstrip("\ufeff")  # ripgrep drops two marks in a row
            texts.append(mark + text.encode(encoding, "surrogatepass") + b"\xd8" * dice.choice([0, 0, 1, 2, 3]))
    return texts


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("whole_words", [False, True])
def test_counts_are_those_of_ripgrep(tmp_path: Path, ignore_case: bool, whole_words: bool) -> None:
    dice = random.Random(20)
    texts = {f"{number:03}": text for number, text in enumerate(random_texts(dice))}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    letters = [letter for letter in LETTERS if letter != "\n"]
    asked = [
        *letters,
        "\ufffd",
        *("".join(dice.choices(letters, k=dice.choice([2, 2, 3]))) for _ in range(40)),
        "aa",
        "ab",
        "aba",
        "--",
    ]
    words = Words(asked, ignore_case=ignore_case, ignore_accents=False, whole_words=whole_words)
    options = ["-i"] * ignore_case + ["-w"] * whole_words
    expected = {word: counts_of_ripgrep(tmp_path, word, *options) for word in asked}
    for name, text in texts.items():
        found = counts(words, text, piece=dice.choice([50, 1000, 1 << 30]))
        assert {word: found[words.number[word]] for word in asked} == {word: expected[word][name] for word in asked}, (
            text
        )
    assert sum(sum(count.values()) for count in expected.values()) > 500


def test_words_consist_of_what_ripgrep_takes_for_word_characters(tmp_path: Path) -> None:
    """Of all characters that this Python knows; ripgrep may know more."""
    characters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    lines = [character for character in characters if character not in "\r\n"]
    (tmp_path / "text").write_text("\n".join(lines) + "\n", newline="")
    found = ripgrep("-n", "-a", "-E", "none", "--no-filename", r"^\w$", "text", folder=tmp_path)
    expected = {lines[int(line.partition(":")[0]) - 1] for line in found.split("\n") if line}
    assert {character for character in lines if is_word(character)} == expected


def test_letters_with_odd_cases_equal_what_they_equal_in_ripgrep(tmp_path: Path) -> None:
    folding = Folding(ignore_case=True, ignore_accents=False)
    cased = [
        chr(code)
        for code in range(0x1F000)
        if unicodedata.category(chr(code)) in ("Lu", "Ll", "Lt", "Mn", "Nl", "So") and chr(code) not in TWINS
    ]
    (tmp_path / "text").write_text("\n".join(cased) + "\n", newline="")
    for letter in "sk\u00df\u03b9\u03c3\u03b8\u03bc\u0390\u0432\u0442\u1e61\ufb06i\u0130\u0131\u01c6\u2c65\uab70\u1f80":
        found = ripgrep("-n", "-i", "-F", "-a", "-E", "none", "--no-filename", "--", letter, "text", folder=tmp_path)
        expected = {line.partition(":")[2] for line in found.split("\n") if line}
        assert {character for character in cased if folding.text(character) == folding.text(letter)} == expected


@pytest.mark.parametrize(("letter", "twin"), TWINS.items())
def test_letters_that_unicode_made_equal_lately_are_equal(letter: str, twin: str) -> None:
    folding = Folding(ignore_case=True, ignore_accents=False)
    assert folding.text(letter) == folding.text(twin)
