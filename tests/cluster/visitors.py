"""Clients outside the cluster that come again and again, whatever release answers, and remember each request."""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.cluster.access import Cluster

VISITORS = int(os.environ.get("ESSAIM_TEST_VISITORS", "6"))
ENDED = {"succeeded", "failed", "cancelled"}


@dataclass
class Visitors:
    """`accepted` are the jobs by id, with the release that took each; `refused` what any request got but success."""

    cluster: Cluster
    pause_seconds: float = 0.1
    accepted: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @contextmanager
    def coming(self) -> Iterator["Visitors"]:
        over = threading.Event()
        threads = [threading.Thread(target=self._come, args=(over,)) for _ in range(VISITORS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _come(self, over: threading.Event) -> None:
        """Submit, wait for the end, come again: as many jobs are open as there are visitors."""
        request = {"words": ["a"], "text": "a", "pause_seconds": self.pause_seconds}
        with self.cluster.api() as api:
            while not over.is_set():
                try:
                    answer = api.post("/v1/jobs", json=request, headers={"Prefer": "wait=10", "Connection": "close"})
                except httpx.TransportError as error:
                    self.refused.append(repr(error))
                    continue
                if answer.is_success:
                    self.accepted[answer.json()["id"]] = answer.json()["release"]
                else:
                    self.refused.append(f"{answer.status_code} {answer.text[:200]}")
                    over.wait(0.2)  # who is refused does not come again at once

    def until_accepted(self, more: int, seconds: float = 600) -> None:
        """Wait until so many more jobs have been taken."""
        deadline, wanted = time.monotonic() + seconds, len(self.accepted) + more
        while len(self.accepted) < wanted:
            assert time.monotonic() < deadline, f"{wanted - len(self.accepted)} jobs are missing: {self.refused[-3:]}"
            time.sleep(0.2)  # between two looks

    def until_ended(self, seconds: float = 300) -> dict[str, str]:
        """The state of each accepted job, once none is open any more."""
        deadline, states = time.monotonic() + seconds, dict.fromkeys(self.accepted, "unknown")
        with self.cluster.api() as api, ThreadPoolExecutor(4) as pool:
            while open_jobs := [job for job, state in states.items() if state not in ENDED]:
                assert time.monotonic() < deadline, f"{len(open_jobs)} jobs have not ended: {open_jobs[:3]}"
                found = pool.map(lambda job: api.get(f"/v1/jobs/{job}").json()["state"], open_jobs)
                states.update(zip(open_jobs, found, strict=True))
        return states

    def taken(self) -> Counter[str]:
        """How many jobs each release has taken."""
        return Counter(self.accepted.values())
