"""The search, slow and obvious: every place is tried, one after the other."""

import unicodedata
from typing import NamedTuple


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
        character = "".join(c for c in unicodedata.normalize("NFD", character) if not unicodedata.combining(c))
    if options.ignore_case:
        character = "".join(fold_case(c) for c in character)
    return character


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
    text = data.decode(errors="surrogateescape")
    return Report({word: find(text, word, options) for word in words}, sum(map(is_invalid, text)))
