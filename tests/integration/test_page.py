"""The files of the live page as HTTP sees them; what they do in a browser is in `tests/browser`."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.integration.conftest import Serving, Site

STATIC = ROOT / "api" / "essaim_api" / "static"
FILES = sorted(path.name for path in STATIC.iterdir())
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}


def urls() -> list[str]:
    return ["/", *(f"/static/{name}" for name in FILES)]


async def test_every_file_comes_with_its_type_and_what_a_browser_must_not_do(site: Site) -> None:
    for url in urls():
        answer = await site.http.get(url)
        assert answer.status_code == 200, url
        assert answer.headers["content-type"].partition(";")[0] == TYPES[Path(url).suffix or ".html"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(policy)
        assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= set(policy)
        assert "unsafe" not in answer.headers["content-security-policy"]


async def test_head_says_what_get_would(site: Site) -> None:
    for url in urls():
        got, asked = await site.http.get(url), await site.http.head(url)
        assert asked.status_code == 200
        assert asked.content == b""
        for name in ("content-type", "content-length", "etag", "cache-control"):
            assert asked.headers[name] == got.headers[name]
        assert int(asked.headers["content-length"]) == len(got.content)


async def test_who_has_a_file_does_not_get_it_again(site: Site) -> None:
    for url in urls():
        first = await site.http.get(url)
        assert first.headers["cache-control"] == "no-cache"
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await site.http.get(url, headers={"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert (await site.http.get(url, headers={"if-none-match": '"other"'})).status_code == 200


@pytest.mark.parametrize("name", ["", "nothing.js", "..%2Fapp.py", "%2E%2E/app.py", "index.html/", "style.CSS", "."])
async def test_nothing_else_is_served(site: Site, name: str) -> None:
    answer = await site.exchange(f"GET /static/{name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in answer


async def test_another_method_is_told_which_fit(site: Site) -> None:
    answer = await site.http.post("/", content=b"")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_the_page_wants_no_token(serving: Serving) -> None:
    async with serving(api_tokens="ann:secret") as site:
        assert {(await site.http.get(url)).status_code for url in urls()} == {200}
        assert (await site.http.get("/v1/stats")).status_code == 401


def test_everything_that_the_page_asks_for_is_there() -> None:
    asked = re.findall(r'(?:src|href)="/static/([^"]+)"', (STATIC / "index.html").read_text())
    asked += [name for path in STATIC.glob("*.js") for name in re.findall(r'from "\./([^"]+)"', path.read_text())]
    assert set(asked) == {name for name in FILES if name != "index.html"}


def test_its_modules_stay_short_and_never_parse_markup() -> None:
    parsing = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|srcdoc"
    )
    for name in FILES:
        text = (STATIC / name).read_text()
        assert len(text.splitlines()) < 200, name
        assert not parsing.search(text), name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name


def test_it_is_in_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    packed = zipfile.ZipFile(wheel).namelist()
    assert {f"essaim_api/static/{name}" for name in FILES} <= set(packed)
