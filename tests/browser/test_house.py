"""What the page shows of the house: queue, workers, dead letters; and an API that goes away, or asks who one is."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Visit, press_twice, submit
from tests.conftest import BuildHouse, House
from tests.integration.essaim_command import DEADLINE, house, wait_until

LONG = {"text": "a swarm", "words": ["swarm"], "pause_seconds": 600}
TOKEN = "only-ann-knows-this"


def notice(page: Page) -> Locator:
    return page.locator("#notices").get_by_role("alert")


def test_queue_and_workers_are_plotted_as_they_go(visit: Visit, url: str, http: httpx.Client) -> None:
    page = visit(url)
    now = page.get_by_role("region", name="Queue and workers")
    workers = now.get_by_role("img").nth(1)
    expect(workers).to_have_accessible_name(re.compile(r"^\d+ idle, \d+ busy; at most \d+ together in the last"))
    submit(http, **LONG)
    expect(workers).to_have_accessible_name(re.compile("1 busy"))
    expect(now.locator(".counts .lower b").nth(1)).to_have_text("1")
    area = now.locator("path.lower").nth(1)
    expect(area).to_have_attribute("d", re.compile(r"^M.+H600\.0V.+Z$"))  # drawn up to now
    before = area.get_attribute("d")
    expect(area).not_to_have_attribute("d", before or "")  # and it moves
    table = page.get_by_role("region", name="Workers", exact=True)
    expect(table.get_by_role("row").filter(has_text="task 0")).to_have_count(1)
    expect(table).to_contain_text(re.compile(r"\d+ workers?, (all busy|\d+ idle)\."))


def test_a_hidden_page_asks_for_nothing(visit: Visit, url: str) -> None:
    hidden = """Object.defineProperty(document, "hidden", { get: () => window.away ?? false });"""
    page = visit(url, script=hidden)
    expect(page.locator("#health")).to_have_text("live")
    page.evaluate("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#health")).to_have_text("paused")
    page.wait_for_load_state("networkidle")  # half a second without a request
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)  # longer than from one look to the next
    assert asked == []
    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#health")).to_have_text("live")


def test_when_the_api_goes_away_it_says_so_and_when_it_comes_back_it_goes_on(visit: Visit, tmp_path: Path) -> None:
    with house(tmp_path) as (process, url):
        with httpx.Client(base_url=url, trust_env=False, timeout=DEADLINE) as http:
            job_id = submit(http, **LONG)
        page = visit(f"{url}/#job/{job_id}")
        expect(page.locator("#job .state")).to_have_text("running")
        expect(page.get_by_role("table", name="Jobs")).to_contain_text(job_id[-8:])
        process.send_signal(signal.SIGTERM)
        process.communicate()
    expect(page.locator("#health")).to_have_text("no answer")
    expect(notice(page)).to_have_count(1)
    expect(notice(page)).to_contain_text("API unreachable")
    notice(page).get_by_role("button", name="Dismiss").click()
    expect(notice(page)).to_have_count(0)
    expect(page.get_by_role("table", name="Jobs")).to_contain_text(job_id[-8:])  # what was known stays
    press_twice(page.locator("#job").get_by_role("button", name="Cancel job"))
    expect(notice(page)).to_contain_text("API unreachable")
    with house(tmp_path, "--port", url.rpartition(":")[2]):
        expect(page.locator("#health")).to_have_text("live")
        expect(page.locator("#job .state")).to_have_text("running")
        expect(notice(page)).to_have_count(1)  # the click has still failed, though the page is well again
        press_twice(page.locator("#job").get_by_role("button", name="Cancel job"))
        expect(page.locator("#job .state")).to_have_text("cancelled")
        expect(notice(page)).to_have_count(0)


def test_a_job_that_is_opened_while_the_api_is_away_comes_later(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, text="a swarm", words=["swarm"])
    page = visit(url)
    expect(page.locator("#health")).to_have_text("live")
    page.context.set_offline(True)
    page.evaluate("(id) => { location.hash = `#job/${id}` }", job_id)
    expect(page.locator("#notices > *")).to_have_count(2)  # of the house, and of the job
    expect(notice(page)).to_have_count(1)  # in the same words
    expect(notice(page)).to_contain_text("API unreachable")
    page.context.set_offline(False)
    expect(page.locator("#job .state")).to_have_text("succeeded")
    expect(notice(page)).to_have_count(0)


def test_a_connection_that_breaks_once_is_no_news(visit: Visit, url: str) -> None:
    page = visit(url)
    expect(page.locator("#health")).to_have_text("live")
    broken: list[str] = []

    def break_once(route: Route) -> None:
        once = f"{route.request.method} {route.request.url}"
        if once in broken:
            route.fallback()
        else:
            broken.append(once)
            route.abort()

    page.route("**/v1/**", break_once)
    page.locator("#submit").get_by_role("button", name="Example 1").click()
    page.locator("#submit").get_by_role("button", name="Submit").click()
    expect(page.locator("#job .state")).to_have_text("succeeded")
    assert f"POST {url}/v1/jobs" in broken
    expect(notice(page)).to_have_count(0)


def test_a_token_is_asked_for_kept_in_the_tab_and_sent(visit: Visit, tmp_path: Path) -> None:
    with house(tmp_path, ESSAIM_API_TOKENS=f"ann:{TOKEN}") as (_, url):
        with httpx.Client(base_url=url, trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            job_id = submit(http, text="a swarm", words=["swarm"])
        page = visit(f"{url}/#job/{job_id}")
        dialog = page.get_by_role("dialog", name="API token")
        expect(dialog.get_by_label("Token")).to_be_focused()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(page.locator("#health")).to_have_text("locked")
        expect(notice(page)).to_contain_text("send the header")
        page.get_by_role("button", name="Token").click()
        dialog.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("Unknown token.")
        dialog.get_by_label("Token").fill(TOKEN)
        dialog.get_by_role("button", name="Continue").click()
        expect(page.locator("#health")).to_have_text("live")
        expect(notice(page)).to_have_count(0)
        expect(page.locator("#job .state")).to_have_text("succeeded")
        page.locator("#job").get_by_role("link", name="Close").click()
        page.locator("#submit").get_by_label("Words one a line").fill("swarm")
        page.locator("#submit").get_by_label("Text", exact=True).fill("a swarm")
        page.get_by_role("button", name="Submit").click()
        expect(page.locator("#job .state")).to_have_text("succeeded")
        expect(page.locator("#job")).to_contain_text("owner ann")
        page.reload()
        expect(page.locator("#health")).to_have_text("live")
        assert TOKEN not in page.url
        assert page.evaluate("[document.cookie, localStorage.length]") == ["", 0]


@pytest.fixture
def journal(build_house: BuildHouse) -> Iterator[tuple[House, str]]:
    """A house with the workload of tests, where a first exception parks the message; and its URL."""
    house = build_house("journal", max_attempts=1, api_port=0)
    house.start("api")
    house.start("worker")

    def address() -> Any:
        return re.search(r"api\.listening address=(\S+)", house.logs())

    wait_until(address, "the API listens")
    yield house, str(address()[1])
    house.kill_all()


def test_dead_letters_say_why_and_are_replayed(visit: Visit, journal: tuple[House, str]) -> None:
    site, url = journal
    with httpx.Client(base_url=url, trust_env=False, timeout=DEADLINE) as http:
        jobs = [submit(http, journal=str(site.folder / f"{name}<b>"), raises=1) for name in ("one", "two", "three")]
        wait_until(lambda: len(http.get("/v1/dead-letters").json()["dead_letters"]) == 3, "three dead letters")
        page = visit(f"{url}/#job/{jobs[0]}")
        expect(page.locator("#job .state")).to_have_text("failed")
        dead = page.get_by_role("region", name="Dead letters", exact=True)
        expect(dead.locator("tbody tr")).to_have_count(3)
        expect(dead).to_contain_text("3 messages parked after their last attempt.")
        mine = dead.get_by_role("row").filter(has_text=jobs[0][-8:])
        expect(mine).to_contain_text("attempt 1 is not its day")
        mine.get_by_role("button", name="Replay").click()
        expect(mine).to_have_count(0)
        expect(page.locator("#job .state")).to_have_text("succeeded")
        dead.get_by_role("button", name="Replay all").click()
        expect(dead).to_contain_text("No dead letters.")
        for job in jobs:
            wait_until(lambda job=job: http.get(f"/v1/jobs/{job}").json()["state"] == "succeeded", "a replayed job")


def test_another_workload_has_another_form(visit: Visit, journal: tuple[House, str]) -> None:
    site, url = journal
    page = visit(url)
    form = page.locator("#submit")
    form.get_by_label("Journal").fill(str(site.folder / "form"))
    form.get_by_text("More options").click()
    form.get_by_label("Steps", exact=True).fill("3")
    form.get_by_role("button", name="Submit").click()
    expect(page.locator("#job .state")).to_have_text("succeeded")
    assert len((site.folder / "form").read_text().splitlines()) == 3
    expect(page.locator("#texts").get_by_role("button", name="Use")).to_have_count(0)
