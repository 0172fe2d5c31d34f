"""docs/tour: what needs no cluster is run as it stands, and prints what its page says; the rest is marked, and linked."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.integration.essaim_command import environment, house
from tests.tour import FOLDER, HERE, PAGES, steps, walk

PROMISES = (
    "containers", "api", "workers", "storage", "dev-and-prod", "scaling", "logs", "version"
)  # fmt: skip
SECTIONS = ["Try it", "Why it is so", "Which file does it", "What to break"]


def test_there_is_a_page_for_each_promise_and_the_index_leads_to_all() -> None:
    assert [page.name for page in PAGES] == [f"{number}-{name}.md" for number, name in enumerate(PROMISES, 1)]
    assert re.findall(r"\]\((\d-[a-z-]+\.md)\)", (FOLDER / "README.md").read_text()) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_a_screen_with_all_its_parts(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.M) == SECTIONS
    assert len(text.splitlines()) <= 85
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert links
    assert not [link for link in links if not (FOLDER / link).exists()]
    assert steps(page)


@pytest.mark.skipif(sys.platform != "linux", reason="the pages read /proc")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_commands_print_what_it_says(page: Path, tmp_path: Path) -> None:
    here = [step for step in steps(page) if not step.on_a_cluster]
    if not here:
        pytest.skip("all of it wants a cluster: tests/cluster/test_tour.py")
    if any("kubectl" in step.commands for step in here) and not shutil.which("kubectl"):
        pytest.skip("kubectl is not here")
    other = re.search(
        r"`essaim up (.+?)`", page.read_text().partition("```")[0]
    )  # than `make run` in the other terminal
    with house(tmp_path, "--no-live", *(other[1].split() if other else ())) as (_, url):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        walk(here, environment(ESSAIM_SERVER=url, ESSAIM_DATA_DIR=str(tmp_path), PATH=path), **{HERE: url})
