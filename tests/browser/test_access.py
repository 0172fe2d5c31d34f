"""Everybody can use the page: by keyboard, with a screen reader, on a phone, in the dark, without the network."""

from pathlib import Path
from typing import Any

import axe_playwright_python
import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, put, submit
from tests.integration.essaim_command import wait_until

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
# The page itself, and what goes beyond its edge, unless it can be scrolled to. A phone makes `innerWidth` as wide as that.
TOO_WIDE = """(width) => [document.documentElement, ...document.querySelectorAll("main *")]
  .filter((node) => node.checkVisibility() && !node.closest(".scroll, .texts, .unseen, pre, svg, summary"))
  .filter((node) => node.getBoundingClientRect().right > width + 1 || node.scrollWidth > width)
  .map((node) => node.outerHTML.slice(0, 100))"""
TOO_SMALL = """() => [...document.querySelectorAll("button, .button, select")]
  .filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 32)
  .map((node) => node.textContent)"""
LONG = {"text": "a swarm", "words": ["swarm"], "pause_seconds": 600}
WIDE = "an_unbreakable_name_" * 9


def must_be_accessible(page: Page, where: str) -> None:
    """No rule of axe is broken: WCAG 2.2 AA and good practice."""
    page.wait_for_timeout(0)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    told = [
        f"{where}: {rule['id']} ({rule['help']}): {[node['target'] for node in rule['nodes']][:5]}"
        for rule in found["violations"]
    ]
    assert not told, "\n".join(told)


def focused(page: Page) -> dict[str, Any]:
    """What has the focus: its name, and how one sees that it has it."""
    return dict(
        page.evaluate(
            """() => {
              const node = document.activeElement;
              const seen = node.matches("#files") ? node.nextElementSibling : node;
              const style = getComputedStyle(seen);
              const box = seen.getBoundingClientRect();
              return {
                name: node.getAttribute("aria-label") ?? node.labels?.[0]?.textContent ?? node.textContent.trim(),
                tag: node.tagName,
                outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
                visible: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
              };
            }"""
        )
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_finds_nothing_wrong(visit: Visit, url: str, http: httpx.Client, scheme: str) -> None:
    put(http, "access.txt", "a swarm of bees\n" * 3)
    running = submit(http, **LONG)
    failed = submit(http, words=["swarm"], texts=["nowhere.txt"])
    done = submit(http, words=["swarm", "bees"], texts=["access.txt"])
    page = visit(f"{url}/#job/{running}", color_scheme=scheme, script=AXE)
    expect(page.locator("#job .state")).to_have_text("running")
    expect(page.locator("#workers tbody tr").first).to_be_visible()
    page.locator("#submit").get_by_text("More options").click()
    page.locator("#job").get_by_text("Tasks", exact=True).click()
    page.locator("#job").get_by_role("button", name="Cancel job").click()  # it asks whether one is sure
    must_be_accessible(page, "a running job")
    page.goto(f"{url}/#job/{done}")
    expect(page.locator("#job mark").first).to_be_visible()
    page.locator("#job").get_by_text("Request", exact=True).click()
    must_be_accessible(page, "a result")
    page.goto(f"{url}/#job/{failed}")
    expect(page.locator("#job .state")).to_have_text("failed")
    page.locator("#submit").get_by_label("Words one a line").fill("swarm")
    page.locator("#submit").get_by_role("button", name="Submit").click()
    expect(page.locator("#submit").get_by_role("alert")).to_be_visible()
    page.context.set_offline(True)
    expect(page.locator("#notices").get_by_role("alert")).to_be_visible()
    must_be_accessible(page, "what went wrong")


def test_what_happens_is_said_to_those_who_do_not_see_it(visit: Visit, url: str, http: httpx.Client) -> None:
    page = visit(f"{url}/#job/{submit(http, text='a swarm', words=['swarm'], pause_seconds=2)}")
    expect(page.locator("#announcer")).to_contain_text("is succeeded")
    assert page.locator("#announcer").get_attribute("aria-live") == "polite"
    assert page.locator("#health").get_attribute("role") == "status"


def test_all_is_done_by_keyboard_alone(visit: Visit, url: str, http: httpx.Client) -> None:
    put(http, "keyboard.txt", "a swarm")
    page = visit(url, reduced_motion="reduce")  # or it is still on its way to what has the focus
    expect(page.get_by_role("button", name="Use keyboard.txt")).to_be_attached()
    page.keyboard.press("Tab")
    assert focused(page)["name"] == "Skip to the jobs"
    order = []
    while (now := focused(page))["tag"] != "BODY" and len(order) < 200:
        assert now["outline"], f"nobody sees the focus on {now}"
        assert now["visible"], f"out of sight: {now}"
        order.append(now["name"])
        page.keyboard.press("Tab")
    places = [
        order.index(name)
        for name in ("Words one a line", "Texts one a line", "Submit", "Upload texts", "Use keyboard.txt")
    ]
    assert places == sorted(places), order

    page.locator("#submit").get_by_label("Words one a line").focus()
    page.keyboard.type("swarm")
    page.keyboard.press("Tab")
    page.keyboard.type("keyboard.txt")
    while focused(page)["name"] != "Submit":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#job .state")).to_have_text("succeeded")
    expect(page.locator("#job-title")).to_be_focused()  # where reading goes on
    page.keyboard.press("Tab")
    assert focused(page)["name"] == "Close"
    page.keyboard.press("Enter")
    expect(page.locator("#job")).to_be_hidden()
    expect(page.locator("#jobs")).to_be_focused()


def test_the_focus_stays_where_it_is_while_the_table_changes(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, **LONG)
    page = visit(url)
    link = page.get_by_role("table", name="Jobs").get_by_role("link", name=job_id[-8:])
    link.focus()
    row = page.get_by_role("table", name="Jobs").get_by_role("row").filter(has_text=job_id[-8:])
    expect(row).to_contain_text("%")
    http.delete(f"/v1/jobs/{job_id}")
    expect(row).to_contain_text("cancelled")
    expect(link).to_be_focused()


def test_on_a_phone_nothing_is_wider_than_the_screen(visit: Visit, url: str, http: httpx.Client) -> None:
    put(http, f"phone/{WIDE}.txt", f"a swarm of {WIDE}\n" * 3)
    failed = submit(http, words=["swarm"], texts=[f"nowhere/{WIDE}"])
    done = submit(http, words=["swarm", WIDE], texts=["phone/**"])
    wait_until(lambda: http.get(f"/v1/jobs/{done}").json()["state"] == "succeeded", "a result")
    running = submit(http, words=["swarm"], texts=["phone/**"], piece_bytes=100, pause_seconds=600)
    page = visit(f"{url}/#job/{done}", script=AXE, **PHONE)
    for job, state in ((done, "succeeded"), (failed, "failed"), (running, "running")):
        page.goto(f"{url}/#job/{job}")
        expect(page.locator("#job .state")).to_have_text(state)
        page.evaluate("for (const fold of document.querySelectorAll('#job details')) fold.open = true")
        page.get_by_role("button", name=f"Use phone/{WIDE}.txt").click()
        assert page.evaluate(TOO_WIDE, PHONE["viewport"]["width"]) == [], state
        must_be_accessible(page, state)
    assert page.evaluate(TOO_SMALL) == [], "hard to hit with a thumb"


def test_the_dark_is_dark(visit: Visit, url: str) -> None:
    lightness = []
    for scheme in ("light", "dark"):
        page = visit(url, color_scheme=scheme)
        shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        lightness.append(sum(shade) / 3)
    assert lightness[0] > 200
    assert lightness[1] < 50
