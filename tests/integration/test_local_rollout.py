"""`essaim rollout --local`: a whole rollout on this machine, with nothing that stands in for anything."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from tests.integration.essaim_command import essaim
from tests.integration.test_local_releases import Site, two_releases


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rollout")


@contextmanager
def load(site: Site, *kinds: int) -> Iterator[list[str]]:
    """Clients submit jobs, each with one number of the kinds in turn. Their ids; none may be refused."""
    over, ids, refused = threading.Event(), list[str](), list[str]()
    numbers = cycle(kinds)

    def client() -> None:
        with httpx.Client(base_url=site.url, trust_env=False, timeout=60) as http:
            while not over.is_set():
                request = {"journal": str(site.folder / "journal"), "numbers": [next(numbers)], "seconds": 0.02}
                answer = http.post("/v1/jobs", json=request, headers={"Prefer": "wait=30"})
                if answer.status_code not in (200, 202):
                    refused.append(answer.text)
                else:
                    ids.append(answer.json()["id"])

    clients = [threading.Thread(target=client) for _ in range(3)]
    for one in clients:
        one.start()
    try:
        yield ids
    finally:
        over.set()
        for one in clients:
            one.join()
    assert not refused


def rolled_out(site: Site) -> tuple[int, list[str]]:
    """Roll v2 out. The exit code, and what it said."""
    smoke = site.folder / "smoke.json"
    smoke.write_text(json.dumps({"journal": str(site.folder / "journal"), "numbers": [1]}))
    options = ["--steps", "30,100", "--min-jobs", "20", "--max-slowdown", "500%", "--requeue-failed"]
    where = ["--smoke", str(smoke), "--timeout", "5m", "--local", str(site.folder)]
    said = essaim("rollout", "--release", "v2", *options, *where)
    return said.code, said.out.splitlines() + said.err.splitlines()


def test_a_release_takes_over_or_goes_back_by_what_becomes_of_its_jobs(folder: Path) -> None:
    with two_releases(folder, ESSAIM_MAX_ATTEMPTS="1") as site:
        with load(site, 3, -4) as ids:  # the second release fails at negative numbers
            code, said = rolled_out(site)
        assert code == 1, said
        assert site.service.read_now()["spec"]["traffic"][0] == {"revisionName": "essaim-v1", "percent": 100}
        done = [site.ended(job_id) for job_id in ids]
        assert {(job["state"], job["release"]) for job in done} <= {("succeeded", "v1"), ("succeeded", "v2")}
        assert any(job["run"] > 1 for job in done)
        assert essaim("rollout", "status", "--local", str(folder)).out.count("\n") > 3

        with load(site, 3, 4) as ids:
            code, said = rolled_out(site)
            assert code == 0, said
            last = site.submit(1)
        assert last["release"] == "v2"
        done = [site.ended(job_id) for job_id in ids]
        assert {job["state"] for job in done} == {"succeeded"}
        assert {job["release"] for job in done} == {"v1", "v2"}
