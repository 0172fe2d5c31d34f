"""Conditional requests and byte ranges, as RFC 9110 has them (§13, §14)."""

import re
from collections.abc import Mapping

from api.errors import RangeUnsatisfiableError
from jobs.errors import TextChangedError, TextExistsError
from jobs.model import Text

ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')
BYTES = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


def entity_tag(text: Text) -> str:
    """Some stores put the quotes into their etags, some do not."""
    return '"{}"'.format(text.etag.removeprefix("W/").strip('"'))


def not_modified(headers: Mapping[str, str], text: Text) -> bool:
    """Whether the client has this version already."""
    return _names(headers.get("if-none-match"), text, weak=True)


def check_before_read(headers: Mapping[str, str], text: Text) -> None:
    """Raises `TextChangedError` where `If-Match` names other versions."""
    if "if-match" in headers and not _names(headers["if-match"], text, weak=False):
        raise TextChangedError(f"{text.name} is version {entity_tag(text)} now")


def check_before_write(headers: Mapping[str, str], text: Text | None) -> None:
    """Raises `TextChangedError` or `TextExistsError` where the client wants to write only over another state than this.

    The store has no compare-and-set: two writers that pass at the same moment both write, one after the other.
    """
    if text is None:
        if "if-match" in headers:
            raise TextChangedError("there is no such text, so it is no version of those in If-Match")
        return
    check_before_read(headers, text)
    if _names(headers.get("if-none-match"), text, weak=True):
        raise TextExistsError(f"{text.name} is there already, as version {entity_tag(text)}")


def byte_range(headers: Mapping[str, str], text: Text) -> tuple[int, int] | None:
    """Start and end (exclusive) of what was asked for. None: all of it, also where the header makes no sense or names
    several ranges, which a server may ignore. Raises `RangeUnsatisfiableError`."""
    asked = BYTES.fullmatch(headers.get("range", "").replace(" ", ""))
    if asked is None or asked[0].endswith("=-"):
        return None
    if "if-range" in headers and headers["if-range"] != entity_tag(text):
        return None
    first, last = asked[1], asked[2]
    if not first:
        start, end = max(text.size - int(last), 0), text.size
    else:
        start, end = int(first), min(int(last) + 1, text.size) if last else text.size
        if last and int(last) < start:
            return None
    if start >= text.size:
        raise RangeUnsatisfiableError(text.size)
    return start, end


def _names(header: str | None, text: Text, *, weak: bool) -> bool:
    if header is None:
        return False
    if header.strip() == "*":
        return True
    tags = ENTITY_TAG.findall(header)
    return any(entity_tag(text) == (tag.removeprefix("W/") if weak else tag) for tag in tags)
