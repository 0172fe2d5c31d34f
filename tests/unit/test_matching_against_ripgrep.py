"""The search against ripgrep itself: the same counts, word by word."""

import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from worker.matching import Piece, Tally, Words, search

RIPGREP = Path(sys.executable).with_name("rg")
LETTERS = [
    *"aab -_.\n",
    *"\u00e9\u00c9e\u0301\u00e4\u00df\u1e9e\u0130\u0131i",
    *"sSk\u017f\u212a\u03c3\u03c2\u03a3\u00b5\u03bc\u0345\u03b9\ufb05\ufb06",
    *"\u2014\u00bd\u2167\u24d0\u200d\u6f22\U0001d400\U00010400\U00010428\U0001f170\ufeff",
]
INVALID = [b"\xff", b"\x80", b"\x80\x80", b"\xe2", b"\xe2\x82", b"\xf0\x9d\x90", b"\xed\xa0\x80", b"\xc0\xaf", b"\x00"]


def ripgrep(folder: Path, word: str, *options: str) -> dict[str, int]:
    command = [RIPGREP, "--count-matches", "--with-filename", "-F", "-a", "-E", "none", *options, "--", word, "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    lines = (line.rpartition(":") for line in done.stdout.splitlines())
    return defaultdict(int, {Path(name).name: int(count) for name, _, count in lines})


def counts(words: Words, text: bytes, piece: int) -> list[int]:
    total = [0] * words.count
    for start in range(0, len(text), piece):
        tally = Tally.start(start, words.count)
        part = Piece(end=min(start + piece, len(text)), size=len(text), positions=0)
        for _ in search(words, tally, part, lambda first, last: [text[first:last]], margin=64, block=100):
            pass
        total = [a + b for a, b in zip(total, tally.counts, strict=True)]
    return total


def random_texts(dice: random.Random) -> list[bytes]:
    texts = []
    for number in range(250):
        alphabet = (
            [letter.encode() for letter in dice.sample(LETTERS, 5)] if number % 2 else [x.encode() for x in LETTERS]
        )
        invalid = INVALID if number % 3 == 0 else []
        texts.append(b"".join(dice.choices([*alphabet, *invalid], k=dice.choice([5, 30, 300]))))
    return texts


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("whole_words", [False, True])
def test_counts_are_those_of_ripgrep(tmp_path: Path, ignore_case: bool, whole_words: bool) -> None:
    dice = random.Random(20)
    texts = random_texts(dice)
    for number, text in enumerate(texts):
        (tmp_path / f"{number:03}").write_bytes(text)
    letters = [letter for letter in LETTERS if letter != "\n"]
    asked = [
        *letters,
        *("".join(dice.choices(letters, k=dice.choice([2, 2, 3]))) for _ in range(60)),
        "aa",
        "aba",
        "--",
    ]
    words = Words(asked, ignore_case=ignore_case, ignore_accents=False, whole_words=whole_words)
    options = ["-i"] * ignore_case + ["-w"] * whole_words
    expected = {word: ripgrep(tmp_path, word, *options) for word in asked}
    differing = []
    for number, text in enumerate(texts):
        found = counts(words, text, piece=dice.choice([7, 50, 1000]))
        differing += [
            (text, word, found[words.number[word]], expected[word][f"{number:03}"])
            for word in asked
            if found[words.number[word]] != expected[word][f"{number:03}"]
        ]
    assert not differing
    assert sum(sum(of.values()) for of in expected.values()) > 500
