"""Texts that begin with a byte order mark, and the UTF-8 in which they are searched.

Offsets outside are those of the text as it is stored. A scan has offsets of its own, in UTF-8, from 0 where it begins.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

EncodingName = Literal["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
Read = Callable[[int, int], Iterable[bytes]]  # the bytes from an offset to another, in chunks

MARK_BYTES = 4  # of a text's beginning, which tell its encoding
_MARKS: tuple[tuple[bytes, EncodingName], ...] = (  # UTF-32's first: it begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
_UNKNOWN = 1 << 62  # beyond any text


@dataclass
class Bounds:
    """Where a scan's piece begins and ends, and where the text ends, once a scan has come so far."""

    start: int = _UNKNOWN
    end: int = _UNKNOWN
    size: int = _UNKNOWN


@dataclass(frozen=True)
class Encoding:
    """How a text is encoded. Its characters begin at byte `mark`."""

    name: EncodingName = "utf-8"
    mark: int = 0

    @classmethod
    def of(cls, head: bytes) -> "Encoding":
        """What the text's first `MARK_BYTES` bytes say; UTF-8 where they say nothing."""
        return next((cls(name, len(mark)) for mark, name in _MARKS if head.startswith(mark)), UTF_8)

    def boundary(self, at: int, size: int, read: Read) -> int:
        """The first offset from `at` on where a piece can begin; in UTF-8 that is anywhere."""
        at = max(at, self.mark)
        at += -at % self._unit
        if self._unit == 2 and self.mark < at < size:
            at += 2 * self._is_pair(b"".join(read(at - 2, min(at + 2, size))))
        return min(at, size)

    def before(self, at: int, margin: int) -> int:
        """Where to begin reading so that at least so many bytes come before `at`, if there are."""
        return max(self.mark, (at - margin) // self._unit * self._unit)

    def views(
        self, read: Read, stops: tuple[int, int, int, int], size: int, bounds: Bounds
    ) -> Iterator[tuple[int, bytes]]:
        """A scan's UTF-8 in chunks, each with the offset where it ends in the text of this `size`.

        `stops`: where the scan begins, its piece begins, its piece ends, and the scan ends. `bounds` are set in time.
        """
        first, start, end, last = stops
        if self.name == "utf-8":
            bounds.start, bounds.end, bounds.size = start - first, end - first, size - first
            for chunk in read(first, last):
                first += len(chunk)
                yield first, chunk
            return
        decoder = codecs.getincrementaldecoder(self.name)("replace")
        done = 0
        if first == start:
            bounds.start = 0
        for at, part in _parts(read(first, last), first, (start, end)):
            text = decoder.decode(part, final=at in (start, end, size)).encode()
            done += len(text)
            if at == start:
                bounds.start = done
            if at == end:
                bounds.end = done
            if at == size:
                bounds.size = done
            yield at - len(decoder.getstate()[0]), text

    def length(self, text: bytes) -> int:
        """How many bytes this UTF-8 has in the text itself."""
        return len(text) if self.name == "utf-8" else len(text.decode().encode(self.name))

    def invalid_bytes(self, text: bytes) -> int:
        """How many bytes of the text itself are not in its encoding."""
        try:
            text.decode(self.name)
        except UnicodeDecodeError:
            return len(text) - len(text.decode(self.name, "ignore").encode(self.name))
        return 0

    @property
    def _unit(self) -> int:
        return 1 if self.name == "utf-8" else 2 if self.name.startswith("utf-16") else 4

    def _is_pair(self, around: bytes) -> bool:
        """Whether these two units of UTF-16 are one character."""
        high, low = around[self.name.endswith("le") :: 2][:2] if len(around) == 4 else (0, 0)
        return high & 0xFC == 0xD8 and low & 0xFC == 0xDC


UTF_8 = Encoding()


def _parts(chunks: Iterable[bytes], at: int, stops: tuple[int, int]) -> Iterator[tuple[int, bytes]]:
    """The chunks, cut at these offsets too, each with the offset where it ends; the first begins at `at`."""
    for chunk in chunks:
        cuts = sorted({0, len(chunk), *(stop - at for stop in stops if at < stop < at + len(chunk))})
        for low, high in pairwise(cuts):
            yield at + high, chunk[low:high]
        at += len(chunk)
