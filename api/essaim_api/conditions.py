"""Conditional requests and byte ranges (RFC 9110 §13, §14). Entity tags take precedence over dates (§13.2.2)."""

import re
from contextlib import suppress
from datetime import UTC, datetime

from starlette.datastructures import Headers

from essaim.errors import TextChangedError, TextExistsError
from essaim.jobs.model import Text
from essaim_api.errors import RangeUnsatisfiableError

ENTITY_TAG = re.compile(r'(?:^|,)[ \t]*((?:W/)?"[^"]*")[ \t]*(?=,|$)')
DATES = "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"
BYTES = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


def entity_tag(text: Text) -> str:
    """The quoted `ETag`; some stores include the quotes, some do not."""
    return '"{}"'.format(text.etag.removeprefix("W/").strip('"'))


def not_modified(headers: Headers, text: Text) -> bool:
    """Whether the client already has this version."""
    if "if-none-match" in headers:
        return names(headers, "if-none-match", entity_tag(text), weak=True)
    since = _date(headers, "if-modified-since")
    return since is not None and _modified(text) <= since


def check_before_read(headers: Headers, text: Text) -> None:
    """Raises `TextChangedError` if `If-Match` names other versions, or the text is newer than `If-Unmodified-Since`."""
    if "if-match" in headers:
        if not names(headers, "if-match", entity_tag(text), weak=False):
            raise TextChangedError(f"{text.name} is now version {entity_tag(text)}")
        return
    since = _date(headers, "if-unmodified-since")
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
    if names(headers, "if-none-match", entity_tag(text), weak=True):
        raise TextExistsError(f"{text.name} exists already, as version {entity_tag(text)}")


def byte_range(headers: Headers, text: Text) -> tuple[int, int] | None:
    """Start and end (exclusive) of the requested range; None for the whole text. Several ranges, and headers that make no
    sense, are ignored, as a server may. So is a range with a date in `If-Range`: a text can change twice in a second, and
    then its date names two versions (§8.8.2.2). Raises `RangeUnsatisfiableError`."""
    requested = BYTES.fullmatch(headers.get("range", "").replace(" ", ""))
    if requested is None or requested[0].endswith("=-"):
        return None
    if "if-range" in headers and headers.getlist("if-range") != [entity_tag(text)]:
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


def _date(headers: Headers, field: str) -> datetime | None:
    """None if it is not one date in a form of RFC 9110 §5.6.7: such a condition is ignored."""
    value = ", ".join(headers.getlist(field))
    for form in DATES:
        with suppress(ValueError):
            found = datetime.strptime(value, form).replace(tzinfo=UTC)
            if "%y" in form:  # of two digits: at most 50 years ahead
                this = datetime.now(UTC).year
                found = found.replace(year=this + 50 - (this + 50 - found.year) % 100)
            return found
    return None


def names(headers: Headers, field: str, tag: str, *, weak: bool) -> bool:
    """Whether the field, which may be repeated, lists this entity tag or is `*`."""
    listed = ", ".join(headers.getlist(field))
    if listed.strip() == "*":
        return True
    return any(tag == (found.removeprefix("W/") if weak else found) for found in ENTITY_TAG.findall(listed))
