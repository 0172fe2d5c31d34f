"""`make screenshots`: the pictures in docs/images, of the page in a real run.

python -m tests.browser.screenshots FOLDER
"""

import io
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.browser.conftest import CHROMIUM, load, put, submit
from tests.integration.essaim_command import DEADLINE, ROOT, house, wait_until

SECONDS = 60.0  # what a plot shows at least
WIDE = ViewportSize(width=1280, height=1080)
PHONE = ViewportSize(width=390, height=844)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TEXTS = sorted((ROOT / "docs" / "decisions").glob("000*.md"))
SEARCH = {"words": ["worker", "queue", "cluster"], "texts": ["decisions/0003*"], "ignore_case": True, "positions": 2}
WORK = {"words": ["job", "task", "message"], "texts": ["decisions/**"]}


def take(browser: Browser, url: str, folder: Path, seconds: float = SECONDS) -> None:
    """light.png, dark.png and phone.png into the folder: the house at work for so long, and a result."""
    with httpx.Client(base_url=url, trust_env=False, timeout=DEADLINE) as http:
        for path in TEXTS:
            put(http, f"decisions/{path.name}", path.read_bytes())
        found = submit(http, **SEARCH)
        wait_until(lambda: http.get(f"/v1/jobs/{found}").json()["state"] == "succeeded", "a result")
        address = f"{url}/#job/{found}"
        with opened(browser, address, WIDE, 1) as wide, opened(browser, address, PHONE, 2) as phone:
            play(http, wide, seconds)
            for page in (wide, phone):
                expect(page.locator("#job mark").first).to_be_visible()
                expect(page.locator(".counts .lower b").last).not_to_have_text("0")
            for scheme in SCHEMES:
                wide.emulate_media(color_scheme=scheme)
                shoot(wide, folder / f"{scheme}.png")
            phone.evaluate("scrollTo({ top: document.querySelector('#job').offsetTop - 8, behavior: 'instant' })")
            shoot(phone, folder / "phone.png")


def play(http: httpx.Client, page: Page, seconds: float) -> None:
    """Work comes in waves, some of it goes wrong, and much of it is under way in the end."""
    started = time.monotonic()
    for begin, pause in ((0.0, 0.06 * seconds), (0.35, 0.03 * seconds), (0.7, max(15, 0.25 * seconds))):
        page.wait_for_timeout(max(0.0, started + begin * seconds - time.monotonic()) * 1000)
        submit(http, **WORK, pause_seconds=pause)
        submit(http, words=["swarm"], text="A swarm of bees.", pause_seconds=0.02 * seconds)
    submit(http, words=["liberté"], texts=["books/**"])
    page.wait_for_timeout(max(0.0, started + seconds - time.monotonic()) * 1000)


@contextmanager
def opened(browser: Browser, url: str, viewport: ViewportSize, scale: int) -> Iterator[Page]:
    context = browser.new_context(viewport=viewport, device_scale_factor=scale)
    context.set_default_timeout(DEADLINE * 1000)
    page = context.new_page()
    load(page, url)
    yield page
    context.close()


def shoot(page: Page, path: Path) -> None:
    """The page as one sees it, in a third of the bytes."""
    page.evaluate("document.activeElement.blur()")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright, house(Path(data)) as (_, url):
        take(playwright.chromium.launch(executable_path=CHROMIUM), url, folder)
    for path in sorted(folder.glob("*.png")):
        print(f"{path}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
