"""What others have written is shown as it is, and is never more than text."""

import socket

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import FAILED_LOADS, Visit, put, submit

SCRIPT = "<script>window.hit = 1</script>"
IMAGE = "<img src=x onerror=window.hit=1>"
BREAKING = "\"'><svg onload=window.hit=1>"
LINK = "javascript:window.hit=1"
MARKS = "a\u202etxt.exe\u2066 &lt;b&gt; %3Cscript%3E {{7+7}} ${window.hit=1}"
LONG = "W" * 200
HOSTILE = (SCRIPT, IMAGE, BREAKING, LINK, MARKS, LONG)


def test_hostile_words_names_and_texts_stay_text(visit: Visit, url: str, http: httpx.Client) -> None:
    names = [f"hostile/{number} {text.replace('/', '|')}" for number, text in enumerate(HOSTILE)]
    for name, text in zip(names, HOSTILE, strict=True):
        put(http, name, f"{text}\n" * 3)
    done = submit(http, words=list(HOSTILE), texts=["hostile/**"], whole_words=False)
    failed = submit(http, words=["swarm"], texts=[f"nowhere/{IMAGE}{LONG}"])
    page = visit(f"{url}/#job/{done}")
    result = page.locator("#job")
    expect(result.locator(".state")).to_have_text("succeeded")
    for name, text in zip(names, HOSTILE, strict=True):
        fold = result.locator("details").filter(has=page.locator("summary", has_text=name)).last
        if fold.get_attribute("open") is None:
            fold.locator("summary").last.click()
        expect(fold.locator("td .quote").filter(has_text=text[:30]).first).to_be_visible()
        page.get_by_role("button", name=f"Use {name}").click()
    result.get_by_text("Request", exact=True).click()
    expect(result.locator("pre")).to_contain_text(IMAGE)
    expect(page.locator("#submit").get_by_label("Texts one a line")).to_have_value("\n".join(names))
    row = page.get_by_role("table", name="Jobs").get_by_role("row").filter(has_text=failed[-8:])
    expect(row).to_contain_text(IMAGE)
    row.get_by_role("link").click()
    expect(result).to_contain_text(f"there is no text 'nowhere/{IMAGE}")
    strangers = "main script, main img, main iframe, main a[href^=javascript], main svg:not([role=img])"
    expect(page.locator(strangers)).to_have_count(0)
    assert page.evaluate("window.hit") is None


@pytest.mark.parametrize(
    "fragment", ["job/%", "job/%E0%A4%A", f"job/{IMAGE}", f"job/../../{LONG}", "job/", LINK, "submit"]
)
def test_a_strange_address_breaks_nothing(visit: Visit, url: str, fragment: str) -> None:
    page = visit(f"{url}/#{fragment}")
    expect(page.locator("#health")).to_have_text("live")
    if fragment.startswith("job/") and len(fragment) > 4:
        expect(page.locator("#job .complaint")).to_be_visible()
    assert page.evaluate("window.hit") is None


def test_the_policy_stops_what_would_get_in(visit: Visit, url: str) -> None:
    """The net under it all: even a stranger's markup that was put into the page runs nothing and calls nobody."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        there = f"http://127.0.0.1:{stranger.getsockname()[1]}/"
        page = visit(url, expected=f"policy|Policy|Trusted|asked for {there}|at {there}|{FAILED_LOADS}")
        expect(page.locator("#health")).to_have_text("live")
        page.evaluate(
            """async (there) => {
              const refused = (work) => { try { work(); return false } catch { return true } };
              const node = document.createElement("div");
              if (!refused(() => { node.innerHTML = "<img src=x onerror='window.hit=1'>" })) throw Error("markup was parsed");
              const script = document.createElement("script");
              if (!refused(() => { script.textContent = "window.hit = 1" })) throw Error("a script was written");
              document.body.setAttribute("style", "background: red");
              const image = document.createElement("img");
              image.setAttribute("src", there);
              document.body.append(image);
              await fetch(there).then(() => { throw Error("it called") }, () => {});
            }""",
            there,
        )
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.accept()
    assert page.evaluate("window.hit") is None
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 0, 0)"
