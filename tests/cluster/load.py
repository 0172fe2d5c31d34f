"""A client outside the cluster that wants each of its jobs accepted, and then looks how they do."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx

from tests.cluster.access import Cluster
from tests.cluster.lookout import Lookout

LOOK_SECONDS = 0.4
ENDED = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True)
class Look:
    """One job's only task at one moment; `slept` is how much of its pause is saved, in seconds."""

    at: float
    state: str
    attempt: int
    worker: str
    slept: float


@dataclass
class Load:
    """`looks` by job id, for every job that was accepted; `refused` counts the requests that had to be made again.

    `tag` names one release of several."""

    cluster: Cluster
    tag: str = ""
    pause: dict[str, float] = field(default_factory=dict)
    looks: dict[str, list[Look]] = field(default_factory=dict)
    refused: int = 0
    lookout: Lookout | None = None

    def submit(self, count: int, pause_seconds: float) -> list[str]:
        """Their ids, once all are accepted."""
        with self.cluster.api(self.tag) as api, ThreadPoolExecutor(count) as pool:
            ids = list(pool.map(lambda _: self._accepted(api, pause_seconds), range(count)))
        assert len(set(ids)) == count
        return ids

    def _accepted(self, api: httpx.Client, pause_seconds: float) -> str:
        """The same key each time, so that it is one job however often it is asked for."""
        request = {"words": ["a"], "text": "a", "pause_seconds": pause_seconds}
        key, deadline = {"Idempotency-Key": uuid4().hex}, time.monotonic() + 240
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                answer = api.post("/v1/jobs", json=request, headers=key)
                if answer.is_success:
                    job = answer.json()["id"]
                    self.pause[job] = pause_seconds
                    self.looks.setdefault(job, [])
                    return str(job)
                assert answer.status_code in {404, 500, 502, 503, 504}, answer.text  # of the ingress, or of ours
            self.refused += 1
            time.sleep(0.5)
        raise AssertionError("the job was not accepted")

    @contextmanager
    def looking(self) -> Iterator["Load"]:
        """Look at the tasks of all jobs now and again, until the end of the block."""
        with self.cluster.api(self.tag) as api:

            def look() -> None:
                for job in [job for job, looks in self.looks.items() if not looks or looks[-1].state not in ENDED]:
                    with suppress(httpx.TransportError):
                        answer = api.get(f"/v1/jobs/{job}/tasks")
                        if answer.is_success:
                            self._note(job, answer.json()["tasks"])

            self.lookout = Lookout(look, LOOK_SECONDS)
            with self.lookout.looking():
                yield self

    def _note(self, job: str, tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            slept = (
                min(1.0, 2 * task["progress"]) * self.pause[job]
            )  # the other half is the search, which takes no time
            look = Look(time.monotonic(), task["state"], task["attempts"], task["worker"] or "", slept)
            self.looks[job].append(look)

    def running(self) -> int:
        return sum(1 for look in self._last() if look.state == "running")

    def saving(self) -> int:
        """How many run and have saved something of their pause."""
        return sum(1 for look in self._last() if look.state == "running" and look.slept)

    def saved(self) -> float:
        """The most that a running task has saved of its pause, in seconds."""
        return max((look.slept for look in self._last() if look.state == "running"), default=0.0)

    def _last(self) -> list[Look]:
        """The last look at each job. Raises `AssertionError` when nobody looks any more."""
        if self.lookout:
            self.lookout.check()
        return [looks[-1] for looks in self.looks.values() if looks]

    def tasks(self) -> dict[str, dict[str, Any]]:
        """The only task of each job, as the API has it now."""
        with self.cluster.api(self.tag) as api:
            answers = {job: api.get(f"/v1/jobs/{job}/tasks").raise_for_status() for job in self.looks}
        return {job: answer.json()["tasks"][0] for job, answer in answers.items()}

    def until_ended(self, seconds: float = 400) -> dict[str, str]:
        """The state of each job that was accepted, when none is left to wait for."""
        deadline, states = time.monotonic() + seconds, dict.fromkeys(self.looks, "unknown")
        with self.cluster.api(self.tag) as api:
            while time.monotonic() < deadline and not ENDED.issuperset(states.values()):
                for job in [job for job, state in states.items() if state not in ENDED]:
                    with suppress(httpx.TransportError):
                        answer = api.get(f"/v1/jobs/{job}")
                        if answer.is_success:
                            states[job] = answer.json()["state"]
                time.sleep(1)
        return states

    def table(self) -> str:
        """What became of each task: how many seconds of its pause were saved when one attempt gave way to the next."""
        lines = ["  job           pause attempts  saved when last seen → when seen again"]
        for job, looks in self.looks.items():
            ways = [f"{a.slept:.0f} → {b.slept:.0f}" for a, b in self.handovers(job)]
            lines.append(
                f"  {job[-12:]} {self.pause[job]:>6} {looks[-1].attempt if looks else '?':>8}  {', '.join(ways)}"
            )
        return "\n".join(lines)

    def handovers(self, job: str) -> list[tuple[Look, Look]]:
        """The last look at an attempt, and the first one at what the next has saved, for each time that happened.

        An attempt that has not saved yet may show nothing, though it has the checkpoint of the one before.
        """
        saved = [look for look in self.looks[job] if look.slept]
        return [(a, b) for a, b in pairwise(saved) if a.attempt < b.attempt]

    def redone(self) -> list[str]:
        """The jobs of which something that was saved has been done again."""
        return [job for job in self.looks if any(b.slept < a.slept for a, b in self.handovers(job))]
