"""How characters compare: their case, their accents, and whether they belong to a word.

Everything here takes and gives UTF-8. Bytes that are none stand for themselves, one character each.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

ESCAPE = "surrogateescape"  # keeps bytes that are no UTF-8, so that decoding loses nothing
_SMALL = 1024  # bytes: a part with other than ASCII characters is halved down to this, so that the rest is folded fast

# `str.lower` is Unicode's simple case folding but for these: variants of letters, each with the letter it equals.
_ODD = dict(
    zip(
        "\u00b5\u017f\u0345\u03c2\u03d0\u03d1\u03d5\u03d6\u03f0\u03f1\u03f5\u1c80"
        "\u1c81\u1c82\u1c83\u1c84\u1c85\u1c86\u1c87\u1c88\u1e9b\u1fbe\u1fd3\u1fe3\ufb05",
        "\u03bc\u0073\u03b9\u03c3\u03b2\u03b8\u03c6\u03c0\u03ba\u03c1\u03b5\u0432"
        "\u0434\u043e\u0441\u0442\u0442\u044a\u0463\ua64b\u1e61\u03b9\u0390\u03b0\ufb06",
        strict=True,
    )
)
_EQUAL_ASCII = ("\u017f".encode(), "\u212a".encode())  # equal to s and k
_DOTTED_I = "\u0130"  # folds to itself, while `lower` makes two characters of it

# Characters of `\w` that no category tells: joiners, and letters in circles and squares.
_WORD_RANGES = ((0x200C, 0x200D), (0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))

# Accents: the Unicode blocks of marks that belong to no script of their own, and those of Cyrillic.
_ACCENTS = ((0x0300, 0x036F), (0x0483, 0x0487), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))
_OVERLAY = 1  # combining class of strokes through a character: they make another one, as in ø

NOT_WORD, WORD, BEYOND_ASCII = 0, 1, 2
KIND = bytes(
    BEYOND_ASCII if byte >= 0x80 else WORD if chr(byte).isalnum() or byte == ord("_") else NOT_WORD
    for byte in range(256)
)


def is_word(character: str) -> bool:
    r"""Whether the character belongs to words: Unicode's `\w`, as in Rust."""
    category = unicodedata.category(character)
    if category[0] in "LM" or category in ("Nd", "Nl", "Pc"):
        return True
    return any(first <= ord(character) <= last for first, last in _WORD_RANGES)


def stands_alone(text: bytes, start: int, end: int) -> bool:
    """Whether no word character touches `text[start:end]`. There must be something on either side.

    As in ripgrep, a neighbour that is no UTF-8 touches it too; but a few stray continuation bytes before it count as a part
    of the character that they follow on their line.
    """
    before = start - 1
    while before > max(0, start - 4) and text[before] & 0xC0 == 0x80:
        before -= 1
    left, right = _character(text[before:start]), _character(text[end : end + 4])
    if left is None or right is None or (left == "\n" and before < start - 1):
        return False
    return not is_word(left) and not is_word(right)


def character_end(text: bytes, at: int) -> int:
    """The first offset from `at` on that lies in no character."""
    if at >= len(text) or text[at] & 0xC0 != 0x80:
        return at
    for lead in range(at - 1, max(-1, at - 4), -1):
        if text[lead] & 0xC0 != 0x80:
            end = lead + _length(text[lead])
            return end if end > at and _character(text[lead:end]) else at
    return at


def _has_equal_of_ascii(text: bytes) -> bool:
    """Whether a character beyond ASCII equals one in it. To look for one byte first is ten times as fast."""
    return any(character[0] in text and character in text for character in _EQUAL_ASCII)


def _length(lead: int) -> int:
    """How many bytes a character has that begins with this byte; 0: none begins so."""
    if lead < 0x80:
        return 1
    return 0 if lead < 0xC2 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4 if lead < 0xF5 else 0


def _character(text: bytes) -> str | None:
    """The character that the text begins with; None if that is no UTF-8."""
    try:
        return text[: _length(text[0])].decode() or None
    except UnicodeDecodeError:
        return None


def is_accent(character: str) -> bool:
    """Whether the character is a combining mark that `ignore_accents` drops.

    Marks of other scripts are parts of their letters: vowel signs, the dots of Japanese `が`, the final sound of Korean `각`.
    """
    if not any(first <= ord(character) <= last for first, last in _ACCENTS):
        return False
    return unicodedata.combining(character) not in (0, _OVERLAY)


class _Bases(dict[int, str]):
    """Each character without its accents; one that has none stays as it is, composed or not.

    Bytes that are no UTF-8 become one that never is, lest two of them make a character when a mark between them goes.
    """

    def __missing__(self, code: int) -> str:
        if len(self) > 100_000:
            self.clear()
        character = "\udcff" if 0xDC80 <= code <= 0xDCFF else chr(code)
        decomposed = unicodedata.normalize("NFD", character)
        base = "".join(c for c in decomposed if not is_accent(c))
        self[code] = base if base != decomposed else character
        return self[code]


class Folding:
    """Makes one form of all that shall compare equal. The form of a text is the forms of its characters in a row."""

    def __init__(self, ignore_case: bool, ignore_accents: bool, alphabet: str = "".join(_ODD.values())) -> None:
        """The form need be right only where its characters are in `alphabet`: the fewer those are, the faster."""
        self._ignore_case = ignore_case
        self._bases = _Bases() if ignore_accents else None
        self._odd = [(odd, plain) for odd, plain in _ODD.items() if plain in alphabet]
        self._is_ascii = alphabet.isascii()

    def in_place(self, text: bytes, is_ascii: bool) -> bytes | None:
        """The form of a text, if it can be had fast and every byte stays where it is."""
        if not self._ignore_case and (is_ascii or self._bases is None):
            return text
        if is_ascii or (self._bases is None and self._is_ascii and not _has_equal_of_ascii(text)):
            return text.lower()
        return None

    def text(self, text: str) -> str:
        """The form of a text."""
        if self._bases is not None:
            text = text.translate(self._bases)
        if not self._ignore_case:
            return text
        text = _DOTTED_I.join(part.lower() for part in text.split(_DOTTED_I))
        for odd, plain in self._odd:
            if odd in text:
                text = text.replace(odd, plain)
        return text

    def encoded(self, text: bytes) -> bytes:
        """The form of a text in UTF-8."""
        form = self.in_place(text, text.isascii())
        if form is not None:
            return form
        if len(text) <= _SMALL:
            return self.text(text.decode(errors=ESCAPE)).encode(errors=ESCAPE)
        half = character_end(text, len(text) // 2)
        return self.encoded(text[:half]) + self.encoded(text[half:])

    def origin(self, text: bytes, form: bytes) -> Callable[[int], int]:
        """From the offset of a character in the form to its offset in the text."""
        characters = text.decode(errors=ESCAPE)
        if self._bases is None:  # case folding makes one character of one
            return lambda at: len(characters[: len(form[:at].decode(errors=ESCAPE))].encode(errors=ESCAPE))
        known = {character: len(self.text(character).encode(errors=ESCAPE)) for character in set(characters)}
        ends = list(accumulate(map(known.__getitem__, characters)))
        return lambda at: len(characters[: bisect_right(ends, at)].encode(errors=ESCAPE))
