"""The pictures in docs/images can be made again, and are of the size that README.md and docs want."""

from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from tests.browser.screenshots import PHONE, WIDE, take
from tests.conftest import ROOT

IMAGES = ROOT / "docs" / "images"
SIZES = {
    "dark.png": (WIDE["width"], WIDE["height"]),
    "light.png": (WIDE["width"], WIDE["height"]),
    "phone.png": (2 * PHONE["width"], 2 * PHONE["height"]),
}


def commonest(picture: Image.Image) -> int:
    shades = picture.convert("L").histogram()
    return shades.index(max(shades))


def must_be_pictures(folder: Path) -> None:
    sizes, shades = {}, {}
    for path in folder.iterdir():
        assert path.stat().st_size < 150_000
        with Image.open(path) as picture:
            sizes[path.name], shades[path.name] = picture.size, commonest(picture)
    assert sizes == SIZES
    assert shades["dark.png"] < 60 < 200 < shades["light.png"]


def test_a_run_gives_all_pictures(browser: Browser, url: str, tmp_path: Path) -> None:
    take(browser, url, tmp_path, seconds=4)
    must_be_pictures(tmp_path)


def test_those_in_the_docs_are_such_pictures_and_are_shown() -> None:
    must_be_pictures(IMAGES)
    readme = (ROOT / "README.md").read_text()
    assert "docs/images/light.png" in readme
    assert "docs/images/dark.png" in readme
