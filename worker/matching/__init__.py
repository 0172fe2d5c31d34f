"""Finds words in a text that comes in pieces, and each piece in chunks. Pure: bytes in, counts and places out.

`search` goes through a piece. It folds the text (`folding`), lets automata find the words block by block (`finding`), settles
which of a word's own overlapping matches count (`chains`) and keeps the rest in a `Tally` (`tally`), from which another
search can go on (`scanning`).
"""

from worker.matching.finding import Words
from worker.matching.scanning import Piece, search
from worker.matching.tally import Tally

__all__ = ["Piece", "Tally", "Words", "search"]
