"""A real browser for tests, in front of real processes. Whatever a page must never do fails the test that opened it."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, Request, expect, sync_playwright

from tests.integration.essaim_command import DEADLINE, house
from tests.servers import absent

CHROMIUM = os.environ.get("ESSAIM_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# What the policy has refused, as an error on the console, where `Watch` looks.
TELL = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`refused by the policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))"""
# What the console says of a network that is not there, and of an answer of the API that is an error: some tests want both.
FAILED_LOADS = r"Failed to load resource: (net::|.* at \S+/v1/)"

expect.set_options(timeout=DEADLINE * 1000)  # no claim about speed

Visit = Callable[..., Page]


class Watch:
    """What a page must never do: call anybody but its origin, raise an error, break its policy, open a dialog."""

    def __init__(self, page: Page, origin: str, expected: str) -> None:
        self.complaints: list[str] = []
        self._origin = origin
        self._expected = re.compile(expected)
        page.on("request", self._request)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._complain(f"error: {error}"))
        page.on("dialog", lambda dialog: (self._complain(f"dialog: {dialog.message}"), dialog.dismiss()))

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._origin}/", "blob:", "data:")):
            self._complain(f"asked for {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._complain(f"console: {message.text} at {message.location['url']}")

    def _complain(self, what: str) -> None:
        if not self._expected.search(what):
            self.complaints.append(what)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for a whole session: while Playwright is there, no other test can run an event loop."""
    if not CHROMIUM:
        absent("no Chromium on the PATH (Debian: apt install chromium), nor in ESSAIM_TEST_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a house with the built-in workload answers; its workers come and go."""
    with house(tmp_path_factory.mktemp("house")) as (_, url):
        yield url


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    """The API as any client has it. What a test has left running is cancelled."""
    with httpx.Client(base_url=url, trust_env=False, timeout=DEADLINE) as http:
        yield http
        for job in open_jobs(http):
            http.delete(job["links"]["self"])


def _visit(browser: Browser, watches: list[Watch], address: str, **options: Any) -> Page:
    settings = {"viewport": {"width": 1280, "height": 900}, **options}
    script, expected = settings.pop("script", None), settings.pop("expected", FAILED_LOADS)
    context = browser.new_context(**settings)
    context.set_default_timeout(DEADLINE * 1000)
    context.add_init_script(TELL)
    if script:
        context.add_init_script(script)
    page = context.new_page()
    watches.append(Watch(page, "/".join(address.split("/")[:3]), expected))
    load(page, address)
    return page


def load(page: Page, address: str) -> None:
    """Open the address, again if need be: Chromium drops what it loads when any network of the machine comes or goes."""
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url) if "/static/" in request.url else None)
    while True:
        with suppress(Error):
            page.goto(address)
            if not failed:
                return
        failed.clear()
        page.goto("about:blank")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open a page in a browser of its own: `visit(address, **options of the context)`.

    `script` runs before those of the page; `expected` says which complaints are none.
    """
    watches: list[Watch] = []
    yield partial(_visit, browser, watches)
    pages = [page for context in browser.contexts for page in context.pages]
    for page in pages:
        page.evaluate("0")  # what was to come of its events has come
    complaints = [complaint for watch in watches for complaint in watch.complaints]
    for context in browser.contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


def submit(http: httpx.Client, **request: object) -> str:
    """The id of a new job."""
    answer = http.post("/v1/jobs", json=request)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def form(page: Page) -> Locator:
    return page.get_by_role("region", name="Submit a job")


def job(page: Page) -> Locator:
    return page.locator("#job")


def row(page: Page, job_id: str) -> Locator:
    return page.get_by_role("table", name="Jobs").get_by_role("row").filter(has_text=job_id[-8:])


def open_jobs(http: httpx.Client) -> list[dict[str, Any]]:
    """The jobs that have not ended."""
    states = [http.get("/v1/jobs", params={"state": state, "limit": 100}).json() for state in ("queued", "running")]
    return [job for state in states for job in state["jobs"]]


def press_twice(button: Locator) -> None:
    """Press a button that asks whether one is sure, within the time that it waits for the answer."""
    button.evaluate("(button) => { if (!button.classList.contains('danger')) button.click(); button.click() }")


def put(http: httpx.Client, name: str, text: str | bytes) -> None:
    """Store a text, whatever is in its name."""
    path = "".join(f"%{byte:02X}" if byte != ord("/") else "/" for byte in name.encode())
    answer = http.put(f"/v1/texts/{path}", content=text)
    assert answer.is_success, answer.text
