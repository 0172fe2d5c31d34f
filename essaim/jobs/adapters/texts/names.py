"""Valid names of texts, and globs that match them."""

import re
from functools import cached_property

from essaim.errors import TextNameError

NAME_BYTES = 512
PART_BYTES = 255  # what file systems take
REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\\*?]")
# What object_store cannot address locally: it calls its unfinished files `x#1`, and takes a path that ends in `x:` or `x|`
# for a Windows drive. Refused everywhere, so that texts can move from one kind of store to another.
UNREACHABLE = re.compile(r"(?:(?:^|/)[^#/]*#[0-9]+|[A-Za-z][:|])$")
FOLDERS = re.compile(r"((?:^|(?<=/))\*\*+/|\*\*+)")


def fault(name: str) -> str | None:
    """What is wrong with a name, as half a sentence; None if it is valid."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if size > NAME_BYTES:
        return f"it has {size} bytes in UTF-8, more than {NAME_BYTES}"
    if not name:
        return "it is empty"
    if refused := REFUSED.search(name):
        return f"it has {refused.group()!r} in it"
    parts = name.split("/")
    if "" in parts:
        return "it has a slash at an end, or two together"
    if any(part.startswith(".") for part in parts):
        return "a part of it starts with a dot"
    if any(len(part.encode()) > PART_BYTES for part in parts):
        return f"a part of it has more than {PART_BYTES} bytes in UTF-8"
    if ending := UNREACHABLE.search(name):
        return f"it ends in {ending.group()[-2:]!r}, which local stores cannot have"
    return None


def quoted(name: str) -> str:
    """The name for a sentence, cut when it is long."""
    return repr(name if len(name) <= 80 else name[:79] + "…")


def check_name(name: str) -> None:
    """Raises `TextNameError` with a sentence that says what is wrong."""
    if found := fault(name):
        raise TextNameError(f"{quoted(name)} is no text name: {found}")


class Glob:
    """A pattern over names: `?` is one character and `*` any number, but no `/`; `**` is anything.

    `**/` at the start of a part also stands for no folder at all. Every other character is itself. The time to match
    grows with the square of the name's length at worst, whatever the pattern: patterns come from clients.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.literal = re.split(r"[*?]", pattern, maxsplit=1)[0]
        self.exact = self.literal == pattern
        self.folder = self.literal.rpartition("/")[0]
        self.slashes = None if "**" in pattern else pattern.count("/")

    def matches(self, name: str) -> bool:
        return self._expression.fullmatch(name) is not None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        # Atomic groups: what a wildcard took to reach the text behind it at the first chance never needs another try,
        # but for the last one, which must reach the end. Without them, a few dozen stars would take years.
        first, *rest = FOLDERS.split(self.pattern)
        expression = _segment(first, last=not rest)
        for index in range(0, len(rest), 2):
            last = index + 2 == len(rest)
            skipped = "(?:.*?/)??" if rest[index].endswith("/") else ".*?"
            found = skipped + _segment(rest[index + 1], last=last)
            expression += found if last else f"(?>{found})"
        return re.compile(expression, re.DOTALL)


def _segment(pattern: str, *, last: bool) -> str:
    first, *rest = ("".join("[^/]" if char == "?" else re.escape(char) for char in run) for run in pattern.split("*"))
    if not rest:
        return first
    *middle, end = (f"[^/]*?{run}" for run in rest)
    return first + "".join(f"(?>{run})" for run in middle) + (end if last else f"(?>{end})")
