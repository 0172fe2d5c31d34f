"""`essaim rollout --local`: what is slow or never starts is caught, and what is killed is taken up."""

import itertools
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.integration.essaim_command import Said, house, running, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

CLIENTS = 4
GOOD = ROOT / "tests" / "workloads" / "release"
KINDS = {
    "slow": ('"ESSAIM_TEST_SLOWDOWN", "1"', '"ESSAIM_TEST_SLOWDOWN", "2"'),
    "dead": ("import os\n", "raise SystemExit('this worker never starts')\nimport os\n"),
}
QUICK = ("--steps", "10,50,100", "--min-jobs", "20", "--max-slowdown", "50%")
ENDED = {"succeeded", "failed", "cancelled"}


@dataclass
class Site:
    """The house, and who visits it: `accepted` are jobs with the release that took each."""

    folder: Path
    http: httpx.Client
    accepted: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @contextmanager
    def visited(self, seconds: float = 0.05) -> Iterator[None]:
        self.accepted.clear()
        self.refused.clear()
        over, numbers = threading.Event(), itertools.count(1)

        def come() -> None:
            while not over.is_set():
                request = {"number": next(numbers), "seconds": seconds}
                answer = self.http.post("/v1/jobs", json=request, headers={"Prefer": "wait=10"})
                if answer.is_success:
                    self.accepted[answer.json()["id"]] = answer.json()["release"]
                else:
                    self.refused.append(answer.text)

        threads = [threading.Thread(target=come) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(self.accepted) > CLIENTS, "a worker that is awake")
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def states(self) -> dict[str, str]:
        """Of all that was accepted, once it has ended."""
        found = dict.fromkeys(self.accepted, "")

        def ended() -> bool:
            for job in [job for job, state in found.items() if state not in ENDED]:
                found[job] = self.http.get(f"/v1/jobs/{job}").json()["state"]
            return ENDED.issuperset(found.values())

        wait_until(ended, "an end of all jobs")
        return found

    def serving(self) -> str:
        return str(self.http.get("/v1/stats").json()["release"])

    def rollout(self, *arguments: str) -> Said:
        """However long that takes."""
        with running("rollout", *arguments, "--local", str(self.folder)) as process:
            out, err = process.communicate()
        return Said(process.returncode, out, err)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A good release that has all requests, another good one, and two bad ones."""
    folder = tmp_path_factory.mktemp("rollout")
    releases = {"first": GOOD, "next": GOOD}
    for name, (before, after) in KINDS.items():
        shutil.copytree(GOOD, folder / name)
        file = folder / name / "workload.py"
        changed = file.read_text().replace(before, after, 1)
        assert changed != file.read_text()
        file.write_text(changed)
        releases[name] = folder / name
    options = [option for name, code in releases.items() for option in ("--release", f"{name}={code}")]
    with house(folder / "data", "--no-live", *options) as (process, url):
        reading = threading.Thread(target=lambda: [*(process.stdout or ())], daemon=True)
        reading.start()
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
            yield Site(folder / "data", http)
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def test_a_release_that_takes_twice_as_long_is_caught(site: Site) -> None:
    with site.visited(seconds=0.3):
        said = site.rollout("--release", "slow", *QUICK)
    assert said.code == 1, said.out + said.err
    assert "Roll back: jobs of the new release take" in said.out
    assert set(site.states().values()) == {"succeeded"}


def test_a_release_whose_workers_never_start_gets_no_request(site: Site) -> None:
    with site.visited():
        said = site.rollout("--release", "dead", "--timeout", "15s", *QUICK)
    assert said.code == 1, said.out + said.err
    assert "after 15 s still: " in said.out
    assert "dead" not in site.accepted.values()
    assert set(site.states().values()) == {"succeeded"}


def test_killed_in_the_middle_it_is_taken_up_and_a_second_one_is_refused(site: Site) -> None:
    options = ("--local", str(site.folder))
    with site.visited():
        with running("rollout", "--release", "next", *QUICK, *options) as first:
            assert first.stdout is not None
            assert any(" 10 % of the requests" in line for line in first.stdout)
            first.send_signal(signal.SIGSTOP)  # or it might be through before it is paused
            assert site.rollout("pause").code == 0
            first.send_signal(signal.SIGCONT)
            assert "next is being rolled out" in site.rollout("--release", "slow").err
            refused = site.rollout("--release", "next")
            assert (refused.code, "is rolling out next now" in refused.err) == (2, True)
            first.kill()
            first.wait()
        said = site.rollout("resume", "--takeover")
    assert said.code == 0, said.out + said.err
    assert "goes on with next, which is at stepping, 10 %" in said.out
    assert not site.refused
    assert set(site.states().values()) == {"succeeded"}
    assert site.serving() == "next"
