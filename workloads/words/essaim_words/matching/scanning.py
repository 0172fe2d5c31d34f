"""One pass over a stretch of text, fed in chunks of UTF-8: what stands in it goes into a `Tally`."""

from collections import Counter
from collections.abc import Iterator
from operator import itemgetter

from essaim_words.matching.chains import Chains
from essaim_words.matching.decoding import Bounds
from essaim_words.matching.finding import Block, Found, Words
from essaim_words.matching.folding import character_end
from essaim_words.matching.tally import LEFT, RIGHT, Tally

_SMALL_BLOCK = 16 * 1024  # bytes matched at once where matches are many, or the text cannot be folded in place
_MANY = 500  # matches in a block
_SEAM = 64 * 1024  # bytes of a chunk that are joined with the rest of the last one
_MOST_HITS = 200_000  # in a block, if the text is made for it: tens of MB, and well under a second
_BEFORE = 4  # bytes before a match that tell whether a word character touches it: the longest character
_UNSURE = 8  # bytes at the start of a scan where half a character may hide a match, or make one


class Scan:
    """A search with one width of margin. If that is too narrow to be sure of anything, or to see all, it stops short.

    It is fed UTF-8; its offsets count from where it begins. `bounds` must be set before what stands there is fed.
    """

    def __init__(self, words: Words, tally: Tally, positions: int, block: int, *, is_start: bool) -> None:
        self.is_unsure = False
        self.bounds = Bounds()
        self._words, self._tally, self._positions, self._is_start = words, tally, positions, is_start
        self._lacking = {number for number, places in enumerate(tally.places) if len(places) < positions}
        self._most = min(block, _MOST_HITS // words.crowd)
        self._size = self._least = min(_SMALL_BLOCK, self._most)
        self._look = 4 * (words.longest + RIGHT)
        self._buffer, self._offset, self._at = b"", 0, 0
        self._before, self._folded = b"\n", 0
        self._chains = Chains(0 if is_start else _UNSURE)

    @property
    def is_done(self) -> bool:
        return self._at >= self.bounds.end

    @property
    def rest(self) -> bytes:
        """What has been fed and not been searched yet."""
        return self._buffer[self._at - self._offset :]

    def feed(self, chunk: bytes) -> Iterator[None]:
        begin = self._offset + len(self._buffer)
        self._buffer += chunk[:_SEAM]
        yield from self._blocks()
        if self._at >= begin + 4 * LEFT:  # past the seam: the chunk itself will do, and need not be copied
            self._buffer, self._offset = chunk, begin
        else:
            self._buffer += chunk[_SEAM:]
        yield from self._blocks()
        done = max(0, self._at - self._offset - 4 * LEFT)
        self._buffer, self._offset = self._buffer[done:], self._offset + done

    def _blocks(self) -> Iterator[None]:
        while not self.is_done and not self.is_unsure and (block := self._block()):
            self._search(block)
            yield

    def _block(self) -> Block | None:
        """The next block. None: more bytes are needed."""
        block = self._plain_block(self._cut())
        if block is None:
            self._size = self._least
            block = self._folded_block(self._cut())
        return block

    def _cut(self) -> int:
        """Where the next block ends: never inside a character, never across the ends of the piece."""
        has = self._offset + len(self._buffer)
        limit = self.bounds.start if self._at < self.bounds.start else self.bounds.end
        cut = min(self._at + self._size, limit, has if has >= self.bounds.size else has - self._look)
        return self._offset + character_end(self._buffer, cut - self._offset) if cut > self._at else self._at

    def _plain_block(self, cut: int) -> Block | None:
        start, stop = self._at - self._offset, cut - self._offset
        if start < _BEFORE or stop <= start or stop + self._look > len(self._buffer):
            return None
        text = self._buffer[start - _BEFORE : stop + self._look]
        is_ascii = text.isascii()
        form = self._words.folding.in_place(text, is_ascii)
        if form is None:
            return None
        return Block(form, _BEFORE, _BEFORE + stop - start, cut, is_ascii, is_plain=True)

    def _folded_block(self, cut: int) -> Block | None:
        start, stop = self._at - self._offset, cut - self._offset
        ahead = self._form_ahead(stop) if stop > start else None
        if ahead is None:
            return None
        form = self._words.folding.encoded(self._buffer[start:stop])
        low = len(self._before)
        text = b"".join((self._before, form, ahead, b"\n"))
        return Block(text, low, low + len(form), cut, is_ascii=False, is_plain=False)

    def _form_ahead(self, start: int) -> bytes | None:
        look = self._look
        while True:
            form = self._words.folding.encoded(self._buffer[start : start + look])
            if len(form) >= self._words.longest + 2 * _BEFORE:
                return form
            if start + look >= len(self._buffer):
                return form if self._offset + len(self._buffer) >= self.bounds.size else None
            look *= 2

    def _search(self, block: Block) -> None:
        counts = self._at >= self.bounds.start
        hits = 0
        for finder in self._words.finders:
            if not (counts or finder.chains):
                continue
            for found in finder.find(block):
                if finder.chains:
                    found = self._chains.apart(found, finder.chains, self._folded - block.low)
                hits += len(found.hits)
                if counts and found.hits:
                    self._count(found, block)
        self._size = self._least if hits > _MANY else min(2 * self._size, self._most)
        self._folded += block.high - block.low
        self._before = block.text[max(0, block.high - _BEFORE) : block.high]
        if counts and not block.is_ascii:
            self._tally.add_invalid_bytes(self._own(block))
        if counts and self._positions:  # else nobody asks for lines, and to find a word takes less time
            self._tally.add_lines(self._own(block))
        self._at = block.cut
        if not counts and block.cut >= self.bounds.start:
            enough = self._folded >= self._words.longest + _UNSURE
            self.is_unsure = not self._is_start and not (enough and self._chains.settle(self._folded))

    def _own(self, block: Block) -> bytes:
        return self._buffer[self._at - self._offset : block.cut - self._offset]

    def _count(self, found: Found, block: Block) -> None:
        numbers = found.numbers
        counts = Counter(map(itemgetter(0), found.hits)) if len(numbers) > 1 else {0: len(found.hits)}
        for pattern, count in counts.items():
            self._tally.counts[numbers[pattern]] += count
        wanted = {pattern for pattern in counts if numbers[pattern] in self._lacking} if self._lacking else set()
        if not wanted:
            return
        own = self._own(block)
        origin = int if block.is_plain else self._words.folding.origin(own, block.text[block.low : block.high])
        for pattern, start, _ in found.hits:
            if pattern in wanted:
                self._add_place(numbers[pattern], own, origin(start + found.shift - block.low))
                if numbers[pattern] not in self._lacking:
                    wanted.remove(pattern)

    def _add_place(self, number: int, own: bytes, at: int) -> None:
        middle = self._at - self._offset + at
        left = self._buffer[max(0, middle - 4 * LEFT) : middle]
        right = self._buffer[middle : middle + 4 * RIGHT]
        places = self._tally.places[number]
        places.append(self._tally.place(own, at, left, right))
        if len(places) == self._positions:
            self._lacking.remove(number)
