"""`essaim up --release v1 --release v2=DIR`: two releases side by side, and requests split between them."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from essaim.splitter.service_file import LocalService
from tests.integration.essaim_command import ROOT, essaim, house, processes, wait_until
from tests.servers import RABBITMQ_URL, S3, delete_queues, services

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

FIRST, SECOND = (ROOT / "tests" / "workloads" / f"{name}_release" for name in ("first", "second"))


@dataclass
class Site:
    """What runs: where it answers, and where each release does."""

    process: subprocess.Popen[str]
    url: str
    folder: Path
    http: httpx.Client
    lines: list[str]

    @property
    def service(self) -> LocalService:
        return LocalService(self.folder / "service.json")

    def tag(self, name: str) -> str:
        url: str = self.service.read_now()["status"]["addresses"][f"essaim-{name}"]
        return url

    def split(self, first: int) -> None:
        percents = (("v1", first), ("v2", 100 - first))
        traffic = [{"revisionName": f"essaim-{name}", "percent": percent, "tag": name} for name, percent in percents]
        asyncio.run(self.service.patch([{"op": "replace", "path": "/spec/traffic", "value": traffic}]))

    def submit(self, *numbers: int, url: str = "", **more: object) -> dict[str, Any]:
        request = {"journal": str(self.folder / "journal"), "numbers": numbers, **more}
        answer = self.http.post(f"{url or self.url}/v1/jobs", json=request)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.http.get(f"{self.url}/v1/jobs/{job_id}").raise_for_status().json())

    def ended(self, job_id: str) -> dict[str, Any]:
        wait_until(lambda: self.job(job_id)["ended"], f"the end of {job_id}")
        return self.job(job_id)


@contextmanager
def two_releases(
    folder: Path, first: Path = FIRST, second: Path = SECOND, names: tuple[str, str] = ("v1", "v2"), **env: str
) -> Iterator[Site]:
    options = ("--release", f"{names[0]}={first}", "--release", f"{names[1]}={second}", "--no-live")
    with house(folder, *options, **env) as (process, url), httpx.Client(trust_env=False, timeout=60) as http:
        site = Site(process, url, folder, http, [])
        reading = threading.Thread(target=lambda: site.lines.extend(process.stdout or ()), daemon=True)
        reading.start()
        yield site
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        reading.join(10)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with two_releases(tmp_path_factory.mktemp("releases")) as site:
        yield site


@pytest.mark.parametrize("percent", [100, 50, 10, 0])
def test_submissions_go_to_the_releases_as_the_file_says(site: Site, percent: int) -> None:
    site.split(percent)
    submitted = [site.submit(1) for _ in range(20)]
    assert Counter(job["release"] for job in submitted)["v1"] == percent / 5
    for job in submitted:
        done = site.ended(job["id"])
        by = {"v1": "first", "v2": "second"}[job["release"]]
        assert (done["state"], done["result"]["by"], done["release"]) == ("succeeded", by, job["release"])


def test_a_client_that_looks_gets_an_answer_whatever_release_it_meets(site: Site) -> None:
    """Also for a job whose request the other release cannot read."""
    site.split(50)
    job = site.submit(2, 3, url=site.tag("v2"), unit="bees")
    wait_until(lambda: site.job(job["id"])["ended"], "an end")
    for tail in ("", "/result", "/tasks", "/events"):
        answers = [site.http.get(f"{site.url}/v1/jobs/{job['id']}{tail}") for _ in range(6)]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
    for _ in range(6):
        listed = site.http.get(f"{site.url}/v1/jobs").raise_for_status().json()["jobs"]
        assert job["id"] in [one["id"] for one in listed]


def test_what_the_new_release_fails_runs_on_the_old_one(site: Site) -> None:
    site.split(0)
    job = site.submit(-2, 5)
    with site.http.stream("GET", f"{site.url}/v1/jobs/{job['id']}/events") as events:  # until it has ended
        assert "event: end" in events.read().decode()
    assert site.job(job["id"])["state"] == "failed"
    retried = site.http.post(f"{site.tag('v1')}/v1/jobs/{job['id']}/retry")
    assert (retried.status_code, retried.json()["release"]) == (202, "v1")
    done = site.ended(job["id"])
    assert (done["state"], done["release"], done["result"]) == ("succeeded", "v1", {"by": "first", "total": 3})


def test_each_release_has_as_many_workers_as_its_own_queue_asks_for(site: Site) -> None:
    jobs = [site.submit(*range(1, 9), url=site.tag("v2"), seconds=600), site.submit(1, url=site.tag("v1"), seconds=600)]

    def workers() -> Counter[str]:
        found = site.http.get(f"{site.url}/v1/workers").json()["workers"]
        return Counter(worker["release"] for worker in found if worker["tasks"])

    wait_until(lambda: workers()["v2"] >= 2 and workers()["v1"] == 1, "workers of both")
    assert any(line.split()[2] == "v2" and "(desired 0)" not in line for line in site.lines)
    site.http.delete(f"{site.url}/v1/jobs/{jobs[0]['id']}")
    wait_until(lambda: workers() == {"v1": 1}, "only the first has work")
    site.http.delete(f"{site.url}/v1/jobs/{jobs[1]['id']}")


def test_lines_tell_releases_apart(site: Site) -> None:
    site.split(30)
    wait_until(lambda: any(line.split()[2:5] == ["v2", "70", "%"] for line in site.lines), "a line with the new share")
    job = site.submit(1, url=site.tag("v2"))
    wait_until(lambda: any(f"job {job['id']}  v2  succeeded" in line for line in site.lines), "a line about the job")


def test_no_request_is_lost_while_the_split_changes(site: Site) -> None:
    over = threading.Event()
    seen: list[tuple[int, str]] = []

    def client() -> None:
        with httpx.Client(base_url=site.url, trust_env=False, timeout=60) as http:
            while not over.is_set():
                request = {"journal": str(site.folder / "journal"), "numbers": [1]}
                answer = http.post("/v1/jobs", json=request)
                seen.append((answer.status_code, answer.json()["id"]))
                seen.append((http.get(f"/v1/jobs/{seen[-1][1]}").status_code, ""))

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    for percent in (0, 100, 10, 90, 50, 1, 99, 100, 0, 50) * 3:
        before = len(seen)
        site.split(percent)
        wait_until(lambda before=before: len(seen) > before + 5, "some requests")
    over.set()
    for one in clients:
        one.join()
    assert Counter(status for status, _ in seen) == {202: len(seen) // 2, 200: len(seen) // 2}
    jobs = [job_id for _, job_id in seen if job_id]
    states = {site.ended(job_id)["state"] for job_id in jobs}
    assert (states, len(set(jobs))) == ({"succeeded"}, len(jobs))
    assert {site.job(job_id)["release"] for job_id in jobs} == {"v1", "v2"}


def test_what_is_edited_later_is_not_this_release(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(FIRST, mine)
    with two_releases(tmp_path / "data", second=mine) as site:
        (mine / "workload.py").write_text("raise SystemExit('half of an edit')\n")
        done = site.ended(site.submit(4, url=site.tag("v2"))["id"])
        assert done["result"] == {"by": "first", "total": 4}
        site.process.send_signal(signal.SIGTERM)
        site.process.wait(60)
        assert processes(tmp_path / "data") == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_work_drains_both(tmp_path: Path, number: signal.Signals) -> None:
    with two_releases(tmp_path) as site:
        jobs = [site.submit(7, url=site.tag(name), seconds=600) for name in ("v1", "v2")]
        wait_until(lambda: all(site.job(job["id"])["state"] == "running" for job in jobs), "both run")
        assert len(processes(tmp_path)) >= 5  # two APIs, two workers, and the split
        heard = threading.Event()
        ends: list[str] = []

        def follow() -> None:
            with httpx.stream(
                "GET", f"{site.url}/v1/jobs/{jobs[0]['id']}/events", trust_env=False, timeout=60
            ) as events:
                for line in events.iter_lines():
                    heard.set()
                    ends.append(line)

        following = threading.Thread(target=follow)
        following.start()
        assert heard.wait(60)
        site.process.send_signal(number)
        _, said = site.process.communicate(timeout=60)
        following.join(60)
    assert site.process.returncode == 0
    assert said.splitlines()[-2:] == ["draining …", "drained"]
    assert processes(tmp_path) == set()
    assert any(line.startswith("event: state") for line in ends)  # and the stream ended as streams do, not cut off
    for name in ("v1", "v2"):
        assert "worker.left" in (tmp_path / "logs" / f"workers-{name}.log").read_text()
        assert "api.draining" in (tmp_path / "logs" / f"api-{name}.log").read_text()


def test_a_killed_api_is_a_problem_until_it_is_back(tmp_path: Path) -> None:
    with two_releases(tmp_path) as site:
        site.split(0)
        served = [
            pid
            for pid in processes(tmp_path)
            if b"essaim_api" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        ]
        variables = {pid: Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in served}
        (killed,) = [pid for pid in served if b"ESSAIM_RELEASE=v2" in variables[pid]]
        os.kill(killed, signal.SIGKILL)
        answers: list[httpx.Response] = []

        def back() -> bool:
            answers.append(site.http.get(f"{site.url}/v1/stats"))
            return answers[-1].is_success

        wait_until(back, "an answer again")
        problems = {(it.status_code, it.headers["content-type"]) for it in answers[:-1]}
        assert problems <= {(status, "application/problem+json") for status in (502, 503)}
        assert site.submit(1)["release"] == "v2"
        assert site.http.get(f"{site.tag('v1')}/readyz").status_code == 200


async def test_on_real_services_each_release_has_its_own_queue(tmp_path: Path) -> None:
    async with services() as settings:
        prefix = settings.pop("release")
        variables = {**S3, **{f"ESSAIM_{name.upper()}": value for name, value in settings.items()}}
        names = (f"{prefix}-1", f"{prefix}-2")

        def use() -> list[dict[str, Any]]:
            with two_releases(tmp_path, names=names, **variables) as site:
                submitted = [site.submit(1, 2, 3, url=site.tag(name)) for name in names]
                done = [site.ended(job["id"]) for job in submitted]
                site.process.send_signal(signal.SIGINT)
                assert site.process.wait(60) == 0
                return done

        try:
            done = await asyncio.to_thread(use)
        finally:
            for name in names:
                await delete_queues(RABBITMQ_URL, name)
    assert [(job["release"], job["result"]["by"]) for job in done] == [(names[0], "first"), (names[1], "second")]
    assert processes(tmp_path) == set()


def test_killed_it_leaves_no_orphan(tmp_path: Path) -> None:
    with two_releases(tmp_path) as site:
        site.submit(7, url=site.tag("v2"), seconds=600)
        wait_until(lambda: len(processes(tmp_path)) >= 4, "a worker")
        site.process.kill()
        site.process.wait()
        wait_until(lambda: not processes(tmp_path), "all leave")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--release", "v1", "--release", "v1"], "two releases are named 'v1'"),
        (["--release", "V1"], "is not a release name"),
        (["--release", "v1.2"], "is not a release name"),  # no tag for a rollout could be called so
        (["--release", "v1", "--release", "v2={empty}"], "holds no release"),
        (["--release", "v1", "--release", "v2={empty}/absent"], "holds no release"),
        (["--release", "v1={empty}/../data/releases/v1"], "is the folder for the copy of the release"),
    ],
)
def test_what_is_no_release_is_one_sentence(tmp_path: Path, options: list[str], says: str) -> None:
    (tmp_path / "empty").mkdir()
    given = [option.format(empty=tmp_path / "empty") for option in options]
    said = essaim("up", "--port", "0", "--data", str(tmp_path / "data"), *given)
    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err
    assert processes(tmp_path) == set()


def test_a_release_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "payload.py").write_text("raise RuntimeError('a mistake in the payload')\n")
    data = str(tmp_path / "data")
    said = essaim("up", "--port", "0", "--data", data, "--release", "v1", "--release", f"v2={tmp_path / 'mine'}")
    assert said.code == 2
    assert "a mistake in the payload" in said.err
    assert processes(tmp_path) == set()


def test_a_whole_checkout_can_be_a_release(tmp_path: Path) -> None:
    """And only it: what it does not have is not there."""
    checkout = tmp_path / "checkout"
    for package in ("essaim", "api/essaim_api", "worker/essaim_worker"):
        shutil.copytree(ROOT / package, checkout / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SECOND, checkout / "workloads" / "words" / "essaim_words")
    with two_releases(tmp_path / "data", second=checkout) as site:
        done = site.ended(site.submit(4, url=site.tag("v2"), unit="bees")["id"])
        assert done["result"] == {"by": "second", "sum": 4, "unit": "bees"}
        assert not (tmp_path / "data" / "releases" / "v2" / "essaim_words" / "matching").exists()
        assert (tmp_path / "data" / "releases" / "v1" / "essaim_words" / "matching").exists()
