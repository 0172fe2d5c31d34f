"""The dashboards that Grafana reads are those of dashboards/, and ask for what is logged."""

import re
from typing import Any

import pytest

from dashboards.__main__ import DASHBOARDS, FOLDER, files
from essaim.jobs.watching import QUIET_SECONDS
from essaim.telemetry.log_events import EVENTS
from tests.conftest import ROOT
from tests.dashboard_queries import boards, choices, queries
from tests.logql import Line, faults, missing, parse, taken

KNOWN = {name: set(fields) for events in EVENTS.values() for name, (_, fields) in events.items()}


def test_every_file_is_what_its_source_makes() -> None:
    """`make dashboards` makes them again."""
    wanted = files()
    assert {path.name for path in FOLDER.glob("*")} == {path.name for path in wanted}
    for path, content in wanted.items():
        assert path.read_text() == content, path.name


def test_every_dashboard_is_provisioned() -> None:
    listed = set(re.findall(r"dashboards/(\w+)\.json", (FOLDER.parent / "kustomization.yaml").read_text()))
    assert listed == set(DASHBOARDS)


def test_everything_that_is_shown_comes_from_loki() -> None:
    for board in boards().values():
        assert {source["uid"] for source in _all(board, "datasource")} == {"loki"}


def test_every_query_parses() -> None:
    asked = queries()
    for query, tree in zip(asked, parse(asked), strict=True):
        assert not faults(tree), query


def test_a_query_that_does_not_parse_is_noticed() -> None:
    for broken in ('{a="b" | c="d"', 'sum by (a (count_over_time({a="b"} [1m]))', 'rate({a="b"} | unwrap [1m])'):
        assert faults(parse([broken])[0]), broken


def test_a_query_that_finds_nothing_is_noticed() -> None:
    line = Line({"service_name": "essaim-api", "event": "job.failed", "seconds": "1.5"}, "job.failed")
    good, *bad = parse(
        [
            'sum(max_over_time({service_name=~"essaim-.+"} | event="job.failed" | unwrap seconds [1m]))',
            'sum(max_over_time({service_name="essaim"} | event="job.failed" | unwrap seconds [1m]))',
            'sum by (kind) (max_over_time({service_name=~"essaim-.+"} | event="job.failed" | unwrap seconds [1m]))',
            'sum(max_over_time({service_name=~"essaim-.+"} | event="job.failed" | unwrap waited [1m]))',
        ]
    )
    assert not missing(good, [line])
    assert all(missing(one, [line]) for one in bad)


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_every_event_and_field_that_is_asked_for_is_in_the_table(name: str) -> None:
    for query in queries(name):
        for part in re.split(r"(?=\{service_name)", query)[1:]:
            asked = re.findall(r'event=~?"([^"]+)"', part)
            events = [event for names in asked for event in names.split("|")]
            assert set(events) <= KNOWN.keys(), query
            fields = set(re.findall(r"unwrap (\w+)", part)) - {"size"}
            assert all(fields <= KNOWN[event] for event in events), query


def test_an_empty_box_for_the_job_takes_no_line() -> None:
    """A line without a job equals "" there, and one without a trace."""
    other = {"service_name": "essaim-worker", "event": "queue.depth"}
    lines = [Line(other, ""), Line({**other, "trace_id": "t"}, ""), Line({**other, "job": "j"}, "")]
    (story,) = (query for query in queries("job", job="?") if 'event!="span.ended"' in query)
    of_none, of_trace, of_job = parse([story.replace("?", job) for job in ("", "t", "j")])
    assert [list(taken(query["LogExpr"], lines)) for query in (of_none, of_trace, of_job)] == [
        [],
        [lines[1]],
        [lines[2]],
    ]


def test_what_a_rollout_has_for_its_own_release_cannot_be_chosen() -> None:
    lines = [Line({"service_name": f"essaim-{it}", "service_version": it}, "") for it in ("api", "worker", "rollout")]
    (streams,) = parse(choices())
    assert [line.labels["service_version"] for line in taken(streams, lines)] == ["api", "worker"]


def test_links_lead_to_dashboards_that_are_there() -> None:
    uids = {board["uid"] for board in boards().values()}
    linked = "\n".join(path.read_text() for path in (ROOT / "platform" / "observability").rglob("*") if path.is_file())
    found = set(re.findall(r"/d/(essaim-\w+)", linked))
    assert found
    assert found <= uids


def test_who_lives_says_so_before_it_counts_as_gone() -> None:
    spans = {int(seconds) for query in queries() for seconds in re.findall(r"\[(\d+)s\]", query)}
    assert spans
    assert all(span > QUIET_SECONDS for span in spans)


def _all(it: Any, key: str) -> list[Any]:
    match it:
        case dict():
            return [value for name, value in it.items() if name == key] + [
                found for value in it.values() for found in _all(value, key)
            ]
        case list():
            return [found for value in it for found in _all(value, key)]
        case _:
            return []
