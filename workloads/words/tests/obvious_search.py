"""The search, slow and obvious: every place is tried, one after the other."""

import unicodedata
from typing import Literal, NamedTuple


class Options(NamedTuple):
    ignore_case: bool = False
    ignore_accents: bool = False
    whole_words: bool = False


class Found(NamedTuple):
    total: int
    places: list[tuple[int, int, str]]


class Report(NamedTuple):
    words: dict[str, Found]
    invalid_bytes: int


def is_invalid(character: str) -> bool:
    return "\udc80" <= character <= "\udcff"


def fold(character: str, options: Options) -> str:
    if options.ignore_accents and is_invalid(character):
        return "\udcff"  # no byte that could make a character with the next, when a mark between them is gone
    if options.ignore_accents:
        character = without_accents(character)
    if options.ignore_case:
        character = "".join(fold_case(c) for c in character)
    return character


def without_accents(character: str) -> str:
    """Decomposed, if that sets an accent free: a mark that Latin, Greek and Cyrillic use, but no stroke through a letter."""
    decomposed = unicodedata.normalize("NFD", character)
    bare = "".join(c for c in decomposed if not is_accent(c))
    return character if bare == decomposed else bare


def is_accent(character: str) -> bool:
    if not unicodedata.name(character, "").startswith("COMBINING "):
        return False
    blocks = (0x0300, 0x036F), (0x0483, 0x0487), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F)
    return any(a <= ord(character) <= b for a, b in blocks) and unicodedata.combining(character) > 1


def fold_case(character: str) -> str:
    """Simple case folding, from full case folding: where that gives several characters, `lower` has it, or nothing."""
    since_unicode_15 = {"\u1fd3": "\u0390", "\u1fe3": "\u03b0", "\ufb05": "\ufb06"}
    if character in since_unicode_15:
        return since_unicode_15[character]
    return next((form for form in (character.casefold(), character.lower()) if len(form) == 1), character)


def is_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LM" or category in ("Nd", "Nl", "Pc")


def touches(characters: list[str], at: int) -> bool:
    """Whether what is before `at` belongs to the word that begins there."""
    last = at - 1
    while last >= 0 and "\udc80" <= characters[last] <= "\udcbf":
        last -= 1
    strays = at - 1 - last
    if last < 0 or characters[last] == "\n":
        return strays > 0
    if is_invalid(characters[last]) or (strays and strays + len(characters[last].encode()) > 4):
        return True
    return is_word(characters[last])


def find(text: str, word: str, options: Options) -> Found:
    """Try every place, one after the other."""
    folded = [(form, index) for index, character in enumerate(text) for form in fold(character, options)]
    forms = [form for form, _ in folded]
    pattern = [form for character in word for form in fold(character, options)]
    starts = []
    at = 0
    while at + len(pattern) <= len(forms):
        end = at + len(pattern)
        alone = not touches(forms, at) and (end == len(forms) or not (is_invalid(forms[end]) or is_word(forms[end])))
        if forms[at:end] == pattern and (alone or not options.whole_words):
            starts.append(folded[at][1])
            at = end
        else:
            at += 1
    return Found(len(starts), [place(text, at) for at in starts])


def place(text: str, at: int) -> tuple[int, int, str]:
    start = text.rfind("\n", 0, at) + 1
    end = (text + "\n").find("\n", at)
    snippet = "".join("\ufffd" if is_invalid(c) else c for c in text[max(start, at - 24) : min(end, at + 56)])
    return text.count("\n", 0, at) + 1, at - start + 1, snippet.rstrip("\r")


def slowly(data: bytes, words: list[str], options: Options) -> Report:
    text, invalid = decode(data)
    return Report({word: find(text, word, options) for word in words}, invalid)


def decode(data: bytes) -> tuple[str, int]:
    """The text, and how many bytes are none of its encoding: in UTF-8 they stay, in others they become U+FFFD."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return decode_units(data[4:], 4, "little" if data[0] else "big")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return decode_units(data[2:], 2, "little" if data[0] == 0xFF else "big")
    text = data.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
    return text, sum(map(is_invalid, text))


def decode_units(data: bytes, width: int, order: Literal["little", "big"]) -> tuple[str, int]:
    """UTF-16 or UTF-32 without its mark, unit by unit."""
    units = [int.from_bytes(data[at : at + width], order) for at in range(0, len(data) // width * width, width)]
    rest = len(data) % width
    text, invalid = "", 0
    while units:
        unit = units.pop(0)
        if width == 2 and unit & 0xFC00 == 0xD800 and units and units[0] & 0xFC00 == 0xDC00:
            text += chr(0x10000 + ((unit & 0x3FF) << 10) + (units.pop(0) & 0x3FF))
        elif unit & 0xFFFFF800 == 0xD800 or unit > 0x10FFFF:
            # What the text breaks off in is one thing: the half of a pair and the half of a unit after it.
            is_last = width == 2 and not units and unit & 0xFC00 == 0xD800
            text, invalid = text + "\ufffd", invalid + width + (rest if is_last else 0)
            rest = 0 if is_last else rest
        else:
            text += chr(unit)
    return (text + "\ufffd", invalid + rest) if rest else (text, invalid)
