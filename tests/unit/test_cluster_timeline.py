"""The timeline of the cluster tests: an answer that does not come is a gap, and when nobody looks any more the test fails."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cluster.access import Cluster
from tests.cluster.timeline import Moment, Timeline

SECRET = {name: base64.b64encode(name.encode()).decode() for name in ("username", "password")}
DEPLOYMENT = {"spec": {"replicas": 3}, "status": {"readyReplicas": 2}}
METRIC = "composite-metric"


@dataclass
class Answers:
    """What is answered, by a part of the path. A part in `silent` gets no answer, one in `broken` a 503."""

    content: dict[str, Any] = field(
        default_factory=lambda: {
            "/secrets/": {"data": SECRET},
            "/deployments/": DEPLOYMENT,
            "/horizontalpodautoscalers/": {"status": {"desiredReplicas": 4}},
            METRIC: {"items": [{"value": "2500m"}]},
            "/api/queues/": {"messages_ready": 7, "messages_unacknowledged": 1},
        }
    )
    silent: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)


class Here(Cluster):
    """RabbitMQ's management is at the same address."""

    @contextmanager
    def forward(self, service: str, port: int) -> Iterator[str]:
        yield self.proxy


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def timeline(answers: Answers) -> Iterator[Timeline]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            part = next(part for part in answers.content if part in self.path)
            if part in answers.silent:
                answers.over.wait()
            body = json.dumps(answers.content[part]).encode()
            self.send_response(503 if part in answers.broken else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        with closing(Here("bees", f"http://127.0.0.1:{server.server_port}", patience=0.2)) as cluster:
            yield Timeline(cluster, "dev")
        answers.over.set()
        server.shutdown()
        serving.join()


def known(moment: Moment) -> bool:
    return moment.formula == 2.5


def test_a_moment_tells_queue_formula_and_replicas(timeline: Timeline) -> None:
    with timeline.recording():
        found = timeline.until(known)
    assert (found.ready, found.unacked, found.wanted, found.started, found.workers, found.api) == (7, 1, 4, 3, 2, 2)


@pytest.mark.parametrize("how", ["silent", "broken"])
def test_while_keda_has_no_metric_the_rest_is_told(timeline: Timeline, answers: Answers, how: str) -> None:
    with timeline.recording():
        timeline.until(known)
        getattr(answers, how).add(METRIC)
        found = timeline.until(lambda it: it.formula is None)
        assert (found.ready, found.started) == (7, 3)
        getattr(answers, how).clear()
        timeline.until(known)


@pytest.mark.parametrize("how", ["silent", "broken"])
def test_a_missed_read_is_a_gap(timeline: Timeline, answers: Answers, how: str) -> None:
    with timeline.recording():
        timeline.until(known)
        getattr(answers, how).add("/deployments/")
        with pytest.raises(AssertionError, match="it never came to that"):
            timeline.until(lambda it: it.seconds > timeline.moments[-1].seconds + 1e6, seconds=2)
        getattr(answers, how).clear()
        timeline.until(known)


def wait_in_vain(timeline: Timeline, answers: Answers, wrong: Any) -> None:
    with timeline.recording():
        timeline.until(known)
        answers.content["/deployments/"] = wrong
        timeline.until(lambda _: False, seconds=1e9)


def do_something_else(timeline: Timeline) -> None:
    """Until nobody looks any more, and without hearing of it."""
    with timeline.recording(), suppress(AssertionError):
        while timeline.lookout:
            timeline.lookout.check()


@pytest.mark.parametrize("wrong", [[], {"spec": {}, "status": 5}])
def test_a_test_fails_at_once_when_nobody_looks_any_more(timeline: Timeline, answers: Answers, wrong: Any) -> None:
    with pytest.raises(AssertionError, match="nobody looks any more"):
        wait_in_vain(timeline, answers, wrong)


def test_a_test_that_does_not_wait_fails_at_its_end(timeline: Timeline, answers: Answers) -> None:
    answers.content["/deployments/"] = []
    with pytest.raises(AssertionError, match="nobody looks any more"):
        do_something_else(timeline)
