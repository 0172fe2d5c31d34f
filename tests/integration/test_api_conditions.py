"""Conditional requests (RFC 9110 §13) as a list, a line each."""

import time
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from starlette.datastructures import Headers

from essaim.jobs.model import Text
from essaim_api.conditions import not_modified
from tests.integration.conftest import Site

TEXT, ABSENT, PAGE, FILE = "/v1/texts/dated", "/v1/texts/absent", "/", "/static/main.js"
RANGE = ("Range", "bytes=0-1")

# {tag} is the entity tag, {now} the date of the last modification, {before} one a year earlier
LINES: dict[str, tuple[str, str, list[tuple[str, str]], int]] = {
    # §13.1.1 If-Match
    "If-Match names the version": ("GET", TEXT, [("If-Match", "{tag}")], 200),
    "If-Match of HEAD": ("HEAD", TEXT, [("If-Match", '"other"')], 412),
    "If-Match of PUT": ("PUT", TEXT, [("If-Match", '"other"')], 412),
    "If-Match of DELETE": ("DELETE", TEXT, [("If-Match", '"other"')], 412),
    "If-Match lists the version": ("PUT", TEXT, [("If-Match", '"a,b" ,, {tag}')], 200),
    "If-Match in two lines": ("PUT", TEXT, [("If-Match", '"other"'), ("If-Match", "{tag}")], 200),
    "If-Match is an asterisk": ("PUT", TEXT, [("If-Match", "*")], 200),
    "If-Match is an asterisk, and nothing is there": ("PUT", ABSENT, [("If-Match", "*")], 412),
    "If-Match names a version, and nothing is there": ("PUT", ABSENT, [("If-Match", '"x"')], 412),
    "If-Match compares strongly": ("GET", TEXT, [("If-Match", "W/{tag}")], 412),
    "If-Match with a small w": ("GET", TEXT, [("If-Match", "w/{tag}")], 412),
    "If-Match without quotes": ("GET", TEXT, [("If-Match", "x{tag}")], 412),
    "If-Match inside another tag": ("GET", TEXT, [("If-Match", '"a{tag}b"')], 412),
    "If-Match is empty": ("GET", TEXT, [("If-Match", "")], 412),
    # §13.1.2 If-None-Match
    "If-None-Match of GET": ("GET", TEXT, [("If-None-Match", "{tag}")], 304),
    "If-None-Match of HEAD": ("HEAD", TEXT, [("If-None-Match", "{tag}")], 304),
    "If-None-Match of PUT": ("PUT", TEXT, [("If-None-Match", "{tag}")], 412),
    "If-None-Match of DELETE": ("DELETE", TEXT, [("If-None-Match", "{tag}")], 412),
    "If-None-Match of another version": ("PUT", TEXT, [("If-None-Match", '"other"')], 200),
    "If-None-Match lists the version": ("GET", TEXT, [("If-None-Match", '"a,b",{tag}')], 304),
    "If-None-Match in two lines": ("GET", TEXT, [("If-None-Match", '"other"'), ("If-None-Match", "{tag}")], 304),
    "If-None-Match compares weakly": ("GET", TEXT, [("If-None-Match", "W/{tag}")], 304),
    "If-None-Match is an asterisk": ("GET", TEXT, [("If-None-Match", "*")], 304),
    "If-None-Match is an asterisk with PUT": ("PUT", TEXT, [("If-None-Match", "*")], 412),
    "If-None-Match is an asterisk with DELETE": ("DELETE", TEXT, [("If-None-Match", "*")], 412),
    "If-None-Match is an asterisk, and nothing is there": ("PUT", ABSENT, [("If-None-Match", "*")], 201),
    "If-None-Match names a version, and nothing is there": ("PUT", ABSENT, [("If-None-Match", '"x"')], 201),
    "If-None-Match is empty": ("GET", TEXT, [("If-None-Match", "")], 200),
    # §13.1.3 If-Modified-Since
    "not modified since": ("GET", TEXT, [("If-Modified-Since", "{now}")], 304),
    "not modified since, with HEAD": ("HEAD", TEXT, [("If-Modified-Since", "{now}")], 304),
    "modified since": ("GET", TEXT, [("If-Modified-Since", "{before}")], 200),
    "If-Modified-Since is for GET and HEAD": ("PUT", TEXT, [("If-Modified-Since", "{now}")], 200),
    "If-Modified-Since is no date": ("GET", TEXT, [("If-Modified-Since", "yesterday")], 200),
    "If-Modified-Since is empty": ("GET", TEXT, [("If-Modified-Since", "")], 200),
    "If-Modified-Since has no such day": ("GET", TEXT, [("If-Modified-Since", "Thu, 99 Foo 2040 00:00:00 GMT")], 200),
    "If-Modified-Since has digits": ("GET", TEXT, [("If-Modified-Since", "1" * 400)], 200),
    "If-Modified-Since in another zone": ("GET", TEXT, [("If-Modified-Since", "Sun, 06 Nov 2050 08:49:37 +0200")], 200),
    "If-Modified-Since twice": ("GET", TEXT, [("If-Modified-Since", "{now}"), ("If-Modified-Since", "{now}")], 200),
    # §13.1.4 If-Unmodified-Since
    "unmodified since": ("GET", TEXT, [("If-Unmodified-Since", "{now}")], 200),
    "not unmodified since": ("GET", TEXT, [("If-Unmodified-Since", "{before}")], 412),
    "not unmodified since, with HEAD": ("HEAD", TEXT, [("If-Unmodified-Since", "{before}")], 412),
    "unmodified since, with PUT": ("PUT", TEXT, [("If-Unmodified-Since", "{now}")], 200),
    "not unmodified since, with PUT": ("PUT", TEXT, [("If-Unmodified-Since", "{before}")], 412),
    "unmodified since, with DELETE": ("DELETE", TEXT, [("If-Unmodified-Since", "{now}")], 204),
    "not unmodified since, with DELETE": ("DELETE", TEXT, [("If-Unmodified-Since", "{before}")], 412),
    "If-Unmodified-Since where nothing is there": ("PUT", ABSENT, [("If-Unmodified-Since", "{before}")], 201),
    "If-Unmodified-Since is no date": ("PUT", TEXT, [("If-Unmodified-Since", "yesterday")], 200),
    "If-Unmodified-Since twice": ("PUT", TEXT, [("If-Unmodified-Since", "{before}")] * 2, 200),
    # §13.1.5 If-Range
    "If-Range names the version": ("GET", TEXT, [RANGE, ("If-Range", "{tag}")], 206),
    "If-Range names another version": ("GET", TEXT, [RANGE, ("If-Range", '"other"')], 200),
    "If-Range compares strongly": ("GET", TEXT, [RANGE, ("If-Range", "W/{tag}")], 200),
    "If-Range is no list": ("GET", TEXT, [RANGE, ("If-Range", '"other", {tag}')], 200),
    "If-Range is no asterisk": ("GET", TEXT, [RANGE, ("If-Range", "*")], 200),
    "If-Range in two lines": ("GET", TEXT, [RANGE, ("If-Range", "{tag}"), ("If-Range", '"other"')], 200),
    "If-Range is a date, which is no strong validator": ("GET", TEXT, [RANGE, ("If-Range", "{now}")], 200),
    "If-Range without a range": ("GET", TEXT, [("If-Range", '"other"')], 200),
    "If-Range of HEAD": ("HEAD", TEXT, [RANGE, ("If-Range", "{tag}")], 200),
    "a range that does not fit counts": ("GET", TEXT, [("Range", "bytes=9-"), ("If-Range", "{tag}")], 416),
    "a range that does not fit is ignored": ("GET", TEXT, [("Range", "bytes=9-"), ("If-Range", '"other"')], 200),
    # §13.2.1: conditions are for what would succeed without them
    "GET of nothing": ("GET", ABSENT, [("If-Match", "*")], 404),
    "HEAD of nothing": ("HEAD", ABSENT, [("If-None-Match", "*")], 404),
    "DELETE of nothing": ("DELETE", ABSENT, [("If-Match", "*")], 404),
    "another method": ("PATCH", TEXT, [("If-Match", '"other"')], 405),
    # §13.2.2: their order
    "If-Match before If-Unmodified-Since": (
        "PUT",
        TEXT,
        [("If-Match", "{tag}"), ("If-Unmodified-Since", "{before}")],
        200,
    ),
    "If-Match before If-None-Match": ("GET", TEXT, [("If-Match", '"other"'), ("If-None-Match", "{tag}")], 412),
    "If-Match and If-None-Match": ("GET", TEXT, [("If-Match", "{tag}"), ("If-None-Match", "{tag}")], 304),
    "If-Unmodified-Since before If-None-Match": (
        "GET",
        TEXT,
        [("If-Unmodified-Since", "{before}"), ("If-None-Match", "{tag}")],
        412,
    ),
    "If-None-Match before If-Modified-Since": (
        "GET",
        TEXT,
        [("If-None-Match", '"other"'), ("If-Modified-Since", "{now}")],
        200,
    ),
    "If-None-Match before Range": ("GET", TEXT, [RANGE, ("If-None-Match", "{tag}")], 304),
    "If-Match before Range": ("GET", TEXT, [("Range", "bytes=9-"), ("If-Match", '"other"')], 412),
    # the live page has entity tags and no dates
    "If-Match of the page": ("GET", PAGE, [("If-Match", '"other", {tag}')], 200),
    "If-Match of the page's HEAD": ("HEAD", PAGE, [("If-Match", '"other"')], 412),
    "If-Match of a file": ("GET", FILE, [("If-Match", '"other"')], 412),
    "If-Match of a file is an asterisk": ("GET", FILE, [("If-Match", "*")], 200),
    "If-Match of a file compares strongly": ("GET", FILE, [("If-Match", "W/{tag}")], 412),
    "If-None-Match of a file in two lines": (
        "GET",
        FILE,
        [("If-None-Match", '"other"'), ("If-None-Match", "W/{tag}")],
        304,
    ),
    "If-None-Match of a file is an asterisk": ("HEAD", FILE, [("If-None-Match", "*")], 304),
    "If-Modified-Since of a file": ("GET", FILE, [("If-Modified-Since", "Sun, 06 Nov 2050 08:49:37 GMT")], 200),
    "a condition of no file": ("GET", "/static/none.js", [("If-Match", '"other"')], 404),
}


@pytest.mark.parametrize(("method", "path", "fields", "status"), LINES.values(), ids=LINES)
async def test_a_condition_as_the_rfc_has_it(
    site: Site, method: str, path: str, fields: list[tuple[str, str]], status: int
) -> None:
    await site.http.put(TEXT, content=b"first")
    current = (await site.http.head(TEXT if path == ABSENT else path)).headers
    modified = current.get("last-modified", "")
    moment = parsedate_to_datetime(modified) if modified else datetime.now(UTC)
    before = format_datetime(moment.replace(year=moment.year - 1, day=1), usegmt=True)
    sent = [(name, value.format(tag=current.get("etag"), now=modified, before=before)) for name, value in fields]
    answer = await site.http.request(method, path, headers=sent, content=b"next" if method == "PUT" else None)
    assert answer.status_code == status, answer.text
    if status == 304:  # §15.4.5
        assert (answer.content, answer.headers["etag"]) == (b"", current["etag"])
    if status in (412, 416) and method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await site.http.get(TEXT)).text == "first"


def test_every_form_of_a_date_is_in_greenwich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        text = Text(name="a", size=1, etag="1", modified=datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC))
        for date in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"):
            assert not_modified(Headers({"if-modified-since": date}), text)
            assert not not_modified(Headers({"if-modified-since": date.replace(":37", ":36")}), text)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_year_of_two_digits_is_at_most_50_years_ahead() -> None:
    this = datetime.now(UTC).year
    text = Text(name="a", size=1, etag="1", modified=datetime(this, 1, 1, tzinfo=UTC))
    for ahead, status in ((49, True), (51, False)):
        date = f"Sunday, 06-Nov-{(this + ahead) % 100:02} 08:49:37 GMT"
        assert not_modified(Headers({"if-modified-since": date}), text) is status
