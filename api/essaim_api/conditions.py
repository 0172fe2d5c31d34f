"""Conditional requests and byte ranges (RFC 9110 §13, §14). Entity tags take precedence over dates (§13.2.2)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers

from essaim.errors import TextChangedError, TextExistsError
from essaim.jobs.model import Text
from essaim_api.errors import RangeUnsatisfiableError

ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')
BYTES = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


def entity_tag(text: Text) -> str:
    """The quoted `ETag`; some stores include the quotes, some do not."""
    return '"{}"'.format(text.etag.removeprefix("W/").strip('"'))


def not_modified(headers: Headers, text: Text) -> bool:
    """Whether the client already has this version."""
    if "if-none-match" in headers:
        return _names(headers, "if-none-match", text, weak=True)
    since = _date(headers.get("if-modified-since"))
    return since is not None and _modified(text) <= since


def check_before_read(headers: Headers, text: Text) -> None:
    """Raises `TextChangedError` if `If-Match` names other versions, or the text is newer than `If-Unmodified-Since`."""
    if "if-match" in headers:
        if not _names(headers, "if-match", text, weak=False):
            raise TextChangedError(f"{text.name} is now version {entity_tag(text)}")
        return
    since = _date(headers.get("if-unmodified-since"))
    if since is not None and _modified(text) > since:
        raise TextChangedError(f"{text.name} was modified at {_modified(text):%Y-%m-%d %H:%M:%S} UTC")


def check_before_write(headers: Headers, text: Text | None) -> None:
    """Raises `TextChangedError` or `TextExistsError` if the request's conditions do not hold.

    The store has no compare-and-set: two writers that pass this check at the same moment both write, one after the other.
    """
    if text is None:
        if "if-match" in headers:
            raise TextChangedError("there is no such text, so no version in If-Match can match")
        return
    check_before_read(headers, text)
    if _names(headers, "if-none-match", text, weak=True):
        raise TextExistsError(f"{text.name} exists already, as version {entity_tag(text)}")


def byte_range(headers: Headers, text: Text) -> tuple[int, int] | None:
    """Start and end (exclusive) of the requested range; None for the whole text. Several ranges, and headers that make no
    sense, are ignored, as a server may. Raises `RangeUnsatisfiableError`."""
    requested = BYTES.fullmatch(headers.get("range", "").replace(" ", ""))
    if requested is None or requested[0].endswith("=-"):
        return None
    if (
        "if-range" in headers
        and headers["if-range"] != entity_tag(text)
        and _date(headers["if-range"]) != _modified(text)
    ):
        return None
    first, last = requested[1], requested[2]
    if not first:
        start, end = max(text.size - int(last), 0), text.size
    else:
        start, end = int(first), min(int(last) + 1, text.size) if last else text.size
        if last and int(last) < start:
            return None
    if start >= text.size:
        raise RangeUnsatisfiableError(text.size)
    return start, end


def _modified(text: Text) -> datetime:
    """In whole seconds, as in `Last-Modified`."""
    return text.modified.astimezone(UTC).replace(microsecond=0)


def _date(header: str | None) -> datetime | None:
    """None if it is not a date: such a condition is ignored."""
    try:
        found = parsedate_to_datetime(header or "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)  # HTTP knows no other zone
    except (ValueError, OverflowError):
        return None


def _names(headers: Headers, field: str, text: Text, *, weak: bool) -> bool:
    """Whether the field, which may be repeated, names this version of the text."""
    listed = ", ".join(headers.getlist(field))
    if listed.strip() == "*":
        return True
    tags = ENTITY_TAG.findall(listed)
    return any(entity_tag(text) == (tag.removeprefix("W/") if weak else tag) for tag in tags)
