"""Visitors for locust: each uploads a text, submits one job, follows it, fetches its result; some change their mind.

    python -m loadtests.load --shape spike          all of it: Essaim on this machine, what was sampled, a report
    locust -f loadtests/locustfile.py --host URL    locust alone, with its own pages

Besides each request, locust counts *time to accept*, from the first try to 202, and *time to result*, to the last byte
of the result; and *generator, late*: by how much its own loop missed its times, which is in all that it has measured.
"""

import itertools
import json
import os
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, events, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS

from loadtests.load.options import TEXT, add_options, plan_of
from loadtests.load.visits import FILE, Visit, VisitLog

ENDED = ("succeeded", "failed", "cancelled")
CONTENT = b"A swarm of bees hums; a bee by itself makes no sound, and a wasp is not asked.\n" * 800
POLL_SECONDS = 0.5
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.25, 4.0
LATE_SECONDS = 0.5
RUN = uuid.uuid4().hex[:8]


class GaveUpError(Exception):
    """The visitor leaves without a result, and says why."""


@events.init_command_line_parser.add_listener
def _(parser: Any) -> None:
    add_options(parser)
    parser.add_argument("--folder", type=Path, help="where what the visitors have seen is written")
    parser.add_argument("--host-header", default="", metavar="NAME", help="the Host that an ingress wants")
    parser.add_argument("--token", default=os.environ.get("ESSAIM_TOKEN", ""), help="who submits", is_secret=True)


@events.test_start.add_listener
def _(environment: Any, **_: Any) -> None:
    folder = environment.parsed_options.folder or Path(tempfile.mkdtemp(prefix="essaim-load-"))
    Visitor.book = VisitLog((folder / FILE).open("a", encoding="utf-8"))
    Visitor.numbers = itertools.count()
    Visitor.open = 0
    gevent.spawn(_lateness, environment)


def _lateness(environment: Any) -> None:
    while True:
        wanted = time.perf_counter() + LATE_SECONDS
        gevent.sleep(LATE_SECONDS)
        _count(environment, "generator, late", time.perf_counter() - wanted)


def _count(environment: Any, name: str, seconds: float, error: Exception | None = None) -> None:
    environment.events.request.fire(
        request_type="", name=name, response_time=seconds * 1000, response_length=0, exception=error, context={}
    )


class Arrivals(LoadTestShape):
    """The shape that `--shape` names. It is over when all have come and gone, or have lost their patience."""

    def tick(self) -> tuple[int, float] | None:
        plan = plan_of(self.runner.environment.parsed_options)
        seconds, here = self.get_run_time(), self.runner.user_count
        over = plan.enough()
        come = here if over else plan.shape.visitors(seconds, plan.jobs, plan.span)
        if (over or come == plan.jobs) and here == come and Visitor.open == 0:
            return None
        return (come, max(1, plan.jobs)) if seconds < plan.span + plan.patience else None


class Visitor(FastHttpUser):
    """One job, and then nothing more: who comes next is another."""

    book: VisitLog
    numbers: Iterator[int]
    open = 0

    def on_start(self) -> None:
        type(self).open += 1
        self.plan = plan_of(self.environment.parsed_options)
        number = next(self.numbers)
        dice = random.Random(number)  # the same visitors in every run
        self.visit = Visit(
            number=number,
            key=f"load-{RUN}-{number}",
            text=f"load/{RUN}/{number}.txt",
            cancels=dice.random() < self.plan.cancel,
            polls=dice.random() < self.plan.poll,
        )
        self.until = time.time() + self.plan.patience

    def wait_time(self) -> float:
        """For ever: locust would bring another one in for one who leaves."""
        return 1e6

    @task
    def bring_a_job(self) -> None:
        try:
            self._bring()
        except GaveUpError as error:
            self._note(problem=str(error))
            _count(self.environment, "time to result", time.time() - (self.visit.submitted or time.time()), error)
        except Exception as error:
            self._note(problem=repr(error))
            raise
        finally:
            self._note(done=True)
            type(self).open -= 1
            self.client.client.clientpool.close()

    def _bring(self) -> None:
        uploads = TEXT in self.plan.request
        if uploads:
            self._call("PUT", f"/v1/texts/{self.visit.text}", "/v1/texts/{name}", data=CONTENT)
        self._submit()
        if self.visit.cancels:
            gevent.sleep(random.Random(self.visit.number).uniform(0, 2))
            self._call("DELETE", f"/v1/jobs/{self.visit.id}", "/v1/jobs/{id}")
        state = self._polled() if self.visit.polls else self._streamed()
        self._note(state=state)
        if state == "succeeded":
            result = self._call("GET", f"/v1/jobs/{self.visit.id}/result", "/v1/jobs/{id}/result")
            self._check(result)
            self._note(fetched=time.time())
            _count(self.environment, "time to result", self.visit.fetched - self.visit.submitted)
        if uploads and state != "failed":  # somebody may want to try it again
            self._call("DELETE", f"/v1/texts/{self.visit.text}", "/v1/texts/{name}")

    def _submit(self) -> None:
        body = self.plan.request.replace(TEXT, self.visit.text)
        self._note(submitted=time.time())
        headers = {"Idempotency-Key": self.visit.key, "Content-Type": "application/json"}
        job = json.loads(self._call("POST", "/v1/jobs", "/v1/jobs", data=body, headers=headers))
        self._note(accepted=time.time(), id=job["id"], release=job["release"])
        _count(self.environment, "time to accept", self.visit.accepted - self.visit.submitted)

    def _polled(self) -> str:
        while True:
            job = json.loads(self._call("GET", f"/v1/jobs/{self.visit.id}", "/v1/jobs/{id}"))
            if job["state"] in ENDED:
                return str(job["state"])
            self._pause(POLL_SECONDS)

    def _streamed(self) -> str:
        """By server-sent events, resumed where a stream ended."""
        seen = ""
        while True:
            with self._stream(seen) as lines:
                for line in lines:
                    field, _, value = line.partition(": ")
                    if field == "id":
                        seen = value
                    elif field == "data" and (state := json.loads(value)["state"]) in ENDED:
                        return str(state)
            self._pause(RETRY_SECONDS)

    @contextmanager
    def _stream(self, seen: str) -> Iterator[Iterator[str]]:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", **self._headers()}
        if seen:
            headers["Last-Event-ID"] = seen
        path, name = f"/v1/jobs/{self.visit.id}/events", "/v1/jobs/{id}/events"
        response = self.client.get(path, name=name, headers=headers, stream=True)
        try:
            yield _lines(response.stream) if response.status_code == 200 else iter(())
        finally:
            if response.status_code:
                response.stream.release()

    def _call(self, method: str, path: str, name: str, headers: dict[str, str] | None = None, **content: Any) -> bytes:
        """The answer's body. What passes (no answer, 429, 5xx) is tried again, a little later each time."""
        pause = RETRY_SECONDS
        while True:
            answer = self.client.request(
                method, path, name=name, headers={**self._headers(), **(headers or {})}, **content
            )
            if answer.ok and answer.status_code:
                return answer.content or b""
            if answer.status_code and answer.status_code != 429 and answer.status_code < 500:
                raise GaveUpError(f"{method} {name}: {answer.status_code}")
            self._pause(pause)
            pause = min(pause * 2, LONGEST_RETRY_SECONDS)

    def _headers(self) -> dict[str, str]:
        options = self.environment.parsed_options
        headers = {"Host": options.host_header} if options.host_header else {}
        return {**headers, "Authorization": f"Bearer {options.token}"} if options.token else headers

    def _pause(self, seconds: float) -> None:
        if time.time() > self.until:
            raise GaveUpError(f"no patience left after {self.plan.patience:g} s")
        gevent.sleep(seconds)

    def _check(self, result: bytes) -> None:
        """Equal work has equal results, whatever the workload is: but for the text's name, all are the first one."""
        plain = result.replace(self.visit.text.encode(), TEXT.encode())
        if plain != _first.setdefault("result", plain):
            raise GaveUpError("the result is another than the first visitor's")

    def _note(self, **news: object) -> None:
        self.visit = self.book.write(self.visit, **news)


_first: dict[str, bytes] = {}


def _lines(stream: Any) -> Iterator[str]:
    """Until it ends, or breaks off: a visitor resumes it in either case."""
    with suppress(*FAILURE_EXCEPTIONS):
        while line := stream.readline(b"\n"):
            yield line.decode().rstrip("\r\n")
