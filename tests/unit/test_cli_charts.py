"""Charts and pages: what is drawn is what is there, and a page needs nothing but itself."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from essaim.runs.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Series, chart, ticks
from essaim.runs.page import notice, page, table, tiles


class Parser(HTMLParser):
    """Fails for what is not closed in order; keeps elements and text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(document)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def paths(picture: str) -> list[str]:
    return re.findall(r'<path [^>]*d="([^"]+)"', picture)


@pytest.mark.parametrize("most", [0, 0.003, 0.9, 1, 4, 4.1, 7, 10, 99, 101, 12345, 1e9])
def test_ticks_are_few_and_reach_the_highest_value(most: float) -> None:
    found = ticks(most)
    assert found[0] == 0
    assert found[-1] >= most
    assert 2 <= len(found) <= 6
    assert len({round(after - before, 9) for before, after in pairwise(found)}) == 1


def test_a_value_stands_at_its_height_and_time() -> None:
    (path,) = paths(chart("Queue", "tasks", [Series("ready", [(0, 0), (5, 10), (10, 5)])]))
    bottom, middle = HEIGHT - BOTTOM, LEFT + (WIDTH - LEFT - RIGHT) / 2
    assert [float(number) for number in re.findall(r"[\d.]+", path)] == [
        *(LEFT, bottom),
        *(middle, TOP),
        *(WIDTH - RIGHT, (TOP + bottom) / 2),
    ]


def test_a_gap_is_not_drawn_over() -> None:
    picture = chart("Queue", "tasks", [Series("ready", [(0, 1), (1, 2), (2, None), (3, 4), (4, 3)])])
    assert len(paths(picture)) == 2


def test_a_long_plateau_costs_two_points() -> None:
    series = Series("workers", [(second, 5) for second in range(1000)], "step")
    said = json.loads(re.findall(r'json">(.*?)</script>', chart("Workers", "", [series]))[0])
    assert said[0]["points"] == [[0, 5], [999, 5]]


def test_what_others_wrote_stays_text() -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    document = page(evil, evil, [chart(evil, evil, [Series(evil, [(0, 1)])], note=evil), table(evil, [evil], [[evil]])])
    parsed = Parser(document + notice([evil]) + tiles([(evil, evil, evil)]))
    assert not [tag for tag, _ in parsed.found if tag == "img"]
    assert parsed.text.count(evil) >= 8


def test_a_page_names_no_address() -> None:
    document = page("Run", "of today", [chart("Queue", "tasks", [Series("ready", [(0, 1)])])])
    assert not [attributes for _, attributes in Parser(document).found if {"src", "href"} & attributes.keys()]
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", document)


def test_no_values_are_an_empty_picture() -> None:
    Parser(page("Run", "", [chart("Queue", "tasks", [Series("ready", [])]), chart("Queue", "tasks", [])]))
