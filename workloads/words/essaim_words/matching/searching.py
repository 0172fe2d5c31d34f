"""Counts words in a piece of a text that comes in chunks. Pure: bytes in; what is found, and how far, is a `Tally`.

A match belongs to the piece in which it starts. So a scan begins a little before its piece, to see what reaches in, and ends
a little after it, to see the last match whole. A piece may begin anywhere, so a scan can be resumed anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from essaim_words.matching.decoding import UTF_8, Encoding, Read
from essaim_words.matching.finding import Words
from essaim_words.matching.scanning import Scan
from essaim_words.matching.tally import Tally

_MARGIN = 8192  # bytes read before and after a piece: enough but for odd texts
_BLOCK = 128 * 1024  # most bytes that are matched at once
_REPLACEMENT = "\ufffd".encode()


@dataclass(frozen=True)
class Piece:
    """The words are asked for that start before byte `end` of a text, and of each the first `positions` places."""

    end: int
    size: int
    positions: int
    encoding: Encoding = UTF_8


def search(
    words: Words, tally: Tally, piece: Piece, read: Read, *, margin: int = _MARGIN, block: int = _BLOCK
) -> Iterator[bool]:
    """Go on with the tally until the piece's end. `read` gives the bytes from an offset to another, in chunks.

    Gives control back after each block, True after each chunk that brought the tally on: it is then worth saving.
    """
    encoding, size = piece.encoding, piece.size
    tally.at, end = (encoding.boundary(at, size, read) for at in (tally.at, piece.end))
    while tally.at < end:
        first = encoding.before(tally.at, margin)
        scan = Scan(words, tally, piece.positions, block, is_start=first == encoding.mark)
        stops = (first, tally.at, end, min(size, end + margin))
        has_replaced = False
        for position, chunk in encoding.views(read, stops, size, scan.bounds):
            for _ in scan.feed(chunk):
                yield False
            if scan.is_unsure:
                break
            at = end if scan.is_done else max(tally.at, position - encoding.length(scan.rest))
            if encoding.name != "utf-8":
                has_replaced = has_replaced or _REPLACEMENT in chunk
                if has_replaced and at > tally.at:  # rare, so these are read again to be told from real ones
                    tally.invalid_bytes += encoding.invalid_bytes(b"".join(read(tally.at, at)))
            has_moved, tally.at = at > tally.at, at
            yield has_moved
            if scan.is_done:
                break
        if margin > size and tally.at < end:
            raise EOFError(f"the text is shorter than {size} bytes")
        margin *= 8
