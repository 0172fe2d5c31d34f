"""What a search has found, and where each match stands in the text."""

from dataclasses import dataclass
from typing import NamedTuple

from essaim_words.matching.folding import ESCAPE

LEFT, RIGHT = 24, 56  # characters of a snippet before and from the match's start
_NO_UTF8 = dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")


class Place(NamedTuple):
    """Where a match starts: line and column count from 1 at the piece's start, columns in characters."""

    line: int
    column: int
    snippet: str


@dataclass
class Tally:
    """What is known of the bytes before `at`: matches by the words' numbers, the rest as in `TaskResult`."""

    at: int
    counts: list[int]
    places: list[list[Place]]
    invalid_bytes: int = 0
    lines: int = 0
    last_line: int = 0

    @classmethod
    def start(cls, at: int, words: int) -> "Tally":
        """Nothing found yet of so many words, in a piece that begins at `at`."""
        return cls(at=at, counts=[0] * words, places=[[] for _ in range(words)])

    def place(self, block: bytes, at: int, left: bytes, right: bytes) -> Place:
        """Where offset `at` of the block is that comes next. `left` and `right` are what stands before and from there."""
        line_start = block.rfind(b"\n", 0, at) + 1
        column = _characters(block[line_start:at]) + (0 if line_start else self.last_line) + 1
        before = left.rpartition(b"\n")[2].decode(errors=ESCAPE)[-LEFT:]
        after = right.partition(b"\n")[0].decode(errors=ESCAPE)[:RIGHT].rstrip("\r")
        return Place(self.lines + block.count(b"\n", 0, at) + 1, column, (before + after).translate(_NO_UTF8))

    def add_lines(self, block: bytes) -> None:
        lines = block.count(b"\n")
        last = _characters(block[block.rfind(b"\n") + 1 :])
        self.last_line = last if lines else self.last_line + last
        self.lines += lines

    def add_invalid_bytes(self, block: bytes) -> None:
        try:
            block.decode()
        except UnicodeDecodeError:
            self.invalid_bytes += len(block) - len(block.decode(errors="ignore").encode())


def _characters(text: bytes) -> int:
    return len(text) if text.isascii() else len(text.decode(errors=ESCAPE))
