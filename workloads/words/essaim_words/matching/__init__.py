"""Finds words in a text that comes in pieces, and each piece in chunks. Pure: bytes in, counts and places out.

`search` goes through a piece. It decodes the text (`decoding`), folds it (`folding`), lets automata find the words block by
block (`finding`), settles which of a word's own overlapping matches count (`chains`) and keeps the rest in a `Tally`
(`tally`), from which another search can go on (`scanning`, `searching`).
"""

from essaim_words.matching.decoding import MARK_BYTES, Encoding
from essaim_words.matching.finding import Words
from essaim_words.matching.searching import Piece, search
from essaim_words.matching.tally import Tally

__all__ = ["MARK_BYTES", "Encoding", "Piece", "Tally", "Words", "search"]
