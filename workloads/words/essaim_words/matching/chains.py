"""Matches of one word that overlap each other."""

from collections.abc import Collection

from essaim_words.matching.finding import Found, Hit


class Chains:
    """Of the matches of a word that overlap each other, the ones to count: the first, then the next that starts after it.

    Which those are depends on all before in an unbroken chain. So in a scan that begins inside a text, nothing is known of a
    word until one of its matches overlaps none before; `unsure` bytes at the scan's start may hold matches unseen.
    """

    def __init__(self, unsure: int) -> None:
        self._unsure = unsure
        self._sure: set[int] = set()
        self._reach: dict[int, int] = {}
        self._free: dict[int, int] = {}

    def apart(self, found: Found, chains: Collection[int], origin: int) -> Found:
        """Without what does not count of the words in `chains`."""
        hits = [hit for hit in found.hits if found.numbers[hit[0]] not in chains or self._counts(found, hit, origin)]
        return found._replace(hits=hits)

    def settle(self, at: int) -> bool:
        """Whether it is known which matches before `at` count. If so, all is known from then on."""
        if any(reach > at for number, reach in self._reach.items() if number not in self._sure):
            return False
        self._unsure = 0
        return True

    def _counts(self, found: Found, hit: Hit, origin: int) -> bool:
        number, start, end = found.numbers[hit[0]], origin + hit[1], origin + hit[2]
        if self._unsure and number not in self._sure:
            if start < self._reach.get(number, self._unsure + end - start):
                self._reach[number] = end
                return False
            self._sure.add(number)
        if start < self._free.get(number, 0):
            return False
        self._free[number] = end
        return True
