"""Which words stand in a block of text. Aho-Corasick automata find them; here is how to ask them for little.

A match costs a Python object, as much as a hundred scanned bytes. So each automaton is chosen to give few matches that are
then thrown away.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from essaim.errors import JobError
from essaim_words.matching.folding import BEYOND_ASCII, KIND, NOT_WORD, WORD, Folding, is_word, stands_alone

Hit = tuple[int, int, int]  # which of the finder's patterns, start, end

_FEW = 8  # patterns that may overlap each other: up to so many, each for itself is faster, at the speed of memory
_GROUP, _LONG, _GROUPS = 48, 4, 4  # a group of patterns of 4 bytes or more that SIMD can filter; more groups do not pay
_FAST_BYTES = 1 << 16  # of patterns: the fastest automaton then takes some tens of MB
_DENSE = 128  # bytes per candidate, under which a `WordFinder` works the other way...
_STAY = 512  # ...for so many blocks, until it looks again
_SPACED = bytes(byte if kind == WORD else ord(" ") for byte, kind in enumerate(KIND))


class Block(NamedTuple):
    """A stretch of folded text. Matches that start from `low` to `high` are asked for; what is around is enough to judge them.

    A line end stands before the text's first byte and after its last. The block reaches to offset `cut` of the text itself;
    in a plain one every byte is where it was before folding.
    """

    text: bytes
    low: int
    high: int
    cut: int
    is_ascii: bool
    is_plain: bool


class Found(NamedTuple):
    """Matches of some words. `numbers` are those words' numbers; a match starts at its hit's start plus `shift`."""

    numbers: Sequence[int]
    hits: list[Hit]
    shift: int


class Finder:
    """Finds patterns wherever they stand, also where they overlap; with `alone`, only where no word character touches them.

    Those in `chains` can overlap themselves.
    """

    def __init__(self, patterns: dict[int, bytes], *, alone: bool) -> None:
        self.chains = frozenset(number for number, pattern in patterns.items() if _overlaps_itself(pattern))
        self._numbers = list(patterns)
        self._alone = alone
        self._automaton = _automaton(patterns.values(), MatchKind.Standard)

    def find(self, block: Block) -> Iterator[Found]:
        found = self._automaton.find_matches_as_indexes(block.text, overlapping=True)
        if self._alone:
            hits = _alone(block, found)
        else:
            low, high = block.low, block.high
            hits = [hit for hit in found if low <= hit[1] < high]
        yield Found(self._numbers, hits, 0)


class WordFinder:
    """Finds whole words that consist of word characters only.

    No overlapping matches are needed: those that overlap lie in one run of word characters, and only the longest of those
    that start first can be the whole run. If there are still too many candidates, all but ASCII word characters become
    spaces, and ASCII words are looked for with a space on either side: slower, but then nearly every match is right.
    """

    chains: frozenset[int] = frozenset()

    def __init__(self, patterns: dict[int, bytes]) -> None:
        self._groups = [
            (list(group), _automaton(group.values(), MatchKind.LeftmostLongest)) for group in _groups(patterns)
        ]
        self._numbers = list(patterns)
        self._spaced = [b" " + pattern + b" " for pattern in patterns.values()]
        self._spaced_automaton: BytesAhoCorasick | None = None
        self._can_space = all(pattern.isascii() for pattern in patterns.values())
        self._stay = 0

    def find(self, block: Block) -> Iterator[Found]:
        if self._stay:
            self._stay -= 1
            yield self._find_spaced(block)
            return
        candidates = 0
        for numbers, automaton in self._groups:
            found = automaton.find_matches_as_indexes(block.text)
            candidates += len(found)
            yield Found(numbers, _alone(block, found), 0)
        if self._can_space and candidates * _DENSE > len(block.text):
            self._stay = _STAY

    def _find_spaced(self, block: Block) -> Found:
        if self._spaced_automaton is None:
            self._spaced_automaton = _automaton(self._spaced, MatchKind.Standard)
        hits = self._spaced_automaton.find_matches_as_indexes(block.text.translate(_SPACED), overlapping=True)
        if not block.is_ascii:
            text = block.text
            hits = [
                hit
                for hit in hits
                if (text[hit[1]] < 0x80 > text[hit[2] - 1]) or stands_alone(text, hit[1] + 1, hit[2] - 1)
            ]
        first, last = 0, len(hits)
        while first < last and hits[first][1] + 1 < block.low:
            first += 1
        while last > first and hits[last - 1][1] + 1 >= block.high:
            last -= 1
        return Found(self._numbers, hits[first:last], 1)


class Words:
    """Words to look for, and how. Those that compare equal share a number, in `number`.

    `longest` is in bytes; `crowd` is the most matches that a finder can give per byte.
    """

    def __init__(self, words: Iterable[str], *, ignore_case: bool, ignore_accents: bool, whole_words: bool) -> None:
        folding = Folding(ignore_case, ignore_accents)
        forms = {word: folding.text(word) for word in words}
        for word, form in forms.items():
            if not form:
                raise JobError(f"without its accents nothing is left of the word {word!r}")
        numbers = {form: number for number, form in enumerate(dict.fromkeys(forms.values()))}
        patterns = {number: form.encode() for form, number in numbers.items()}
        self.number = {word: numbers[form] for word, form in forms.items()}
        self.folding = Folding(ignore_case, ignore_accents, alphabet="".join(numbers))
        self.count = len(patterns)
        self.longest = max(map(len, patterns.values()))
        runs = {n for form, n in numbers.items() if whole_words and all(map(is_word, form))}
        plain = {n for n in runs if patterns[n].isascii()}
        loose = {n: patterns[n] for n in patterns.keys() - runs}
        self.crowd = max(1, len(set(map(len, loose.values()))))
        self.finders: list[Finder | WordFinder] = [
            *(WordFinder({n: patterns[n] for n in some}) for some in (plain, runs - plain) if some),
            *(Finder(some, alone=whole_words) for some in _few(loose)),
        ]


def _groups(patterns: dict[int, bytes]) -> Iterator[dict[int, bytes]]:
    """All in one, or what SIMD can filter."""
    if len(patterns) > _GROUP * _GROUPS:
        yield patterns
        return
    for is_long in (True, False):
        some = sorted((pattern, number) for number, pattern in patterns.items() if (len(pattern) >= _LONG) is is_long)
        for start in range(0, len(some), _GROUP):
            yield {number: pattern for pattern, number in some[start : start + _GROUP]}


def _few(patterns: dict[int, bytes]) -> Iterator[dict[int, bytes]]:
    if len(patterns) > _FEW:
        yield patterns
    else:
        yield from ({number: pattern} for number, pattern in patterns.items())


def _automaton(patterns: Collection[bytes], kind: MatchKind) -> BytesAhoCorasick:
    fast = Implementation.DFA if sum(map(len, patterns)) <= _FAST_BYTES else None
    return BytesAhoCorasick(patterns, matchkind=kind, implementation=fast)


def _overlaps_itself(pattern: bytes) -> bool:
    return any(pattern.startswith(pattern[at:]) for at in range(1, len(pattern)))


def _alone(block: Block, found: list[Hit]) -> list[Hit]:
    text, low, high = block.text, block.low, block.high
    return [
        hit
        for hit in found
        if low <= hit[1] < high
        and (
            (kind := KIND[text[hit[1] - 1]] | KIND[text[hit[2]]]) == NOT_WORD
            or (kind == BEYOND_ASCII and stands_alone(text, hit[1], hit[2]))
        )
    ]
