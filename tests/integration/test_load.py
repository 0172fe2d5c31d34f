"""A load test, short and real: locust, API and workers; and what it has recorded is what the server says."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from essaim.autoscaler.errors import ScaledObjectError
from essaim.cli.client import Client
from essaim.kubernetes.client import open_kubernetes
from essaim.planning.recording import read
from loadtests.load.checking import faults, look_up
from loadtests.load.cluster import WorkerObjects
from loadtests.load.visits import Visit, Visits
from tests.api_server import ApiServer
from tests.integration.conftest import Site
from tests.integration.essaim_command import DEADLINE, ROOT, Said, environment, house, processes, wait_until

REQUEST = '{"texts": ["{text}"], "words": ["swarm"], "pause_seconds": 0.3}'
CHECKED = {"succeeded", "cancelled"}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def start(folder: Path, *arguments: str, **env: str) -> subprocess.Popen[str]:
    """Its temporary files are in the folder too, to see what it leaves behind."""
    (folder / "tmp").mkdir()
    return subprocess.Popen(
        (sys.executable, "-m", "loadtests.load", "--request", REQUEST, "--out", str(folder / "run"), *arguments),
        cwd=ROOT,
        env=environment(TMPDIR=str(folder / "tmp"), **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def load(folder: Path, *arguments: str, **env: str) -> Said:
    """Run it to its end."""
    with start(folder, *arguments, **env) as process:
        try:
            out, err = process.communicate(timeout=3 * DEADLINE)
        finally:
            process.kill()
    return Said(process.returncode, out, err)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_recorded_is_what_the_server_says(tmp_path: Path) -> None:
    with house(tmp_path / "house") as (_, url):
        done = load(tmp_path, "--shape=waves", "--jobs=12", "--span=3", "--cancel=0.3", "--server", url, "--speed=20")
        assert done.code == 0, done.out + done.err
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
            jobs = {job["id"]: job for job in http.get("/v1/jobs?limit=200").json()["jobs"]}
            texts = http.get("/v1/texts").json()["texts"]
    recorded = read(tmp_path / "run")
    assert {job.id: job.state for job in recorded.jobs} == {id: job["state"] for id, job in jobs.items()}
    assert len(jobs) == 12
    assert {job.state for job in recorded.jobs} == CHECKED
    began = recorded.run.started.timestamp()
    for job in recorded.jobs:
        ended = datetime.fromisoformat(jobs[job.id]["ended"]).timestamp()
        assert job.ended == pytest.approx(ended - began, abs=0.01)
        assert job.submitted <= (job.accepted or 0) <= job.ended + 0.01
        if job.state == "succeeded":
            assert job.work is not None
            assert job.work >= 0.3
    assert texts == []  # visitors take away what they have brought
    assert max(moment.workers for moment in recorded.moments) >= 1
    assert recorded.moments[-1].workers == 0
    counted = {(row["Type"], row["Name"]): row for row in rows(tmp_path / "run" / "requests_stats.csv")}
    succeeded = sum(job.state == "succeeded" for job in recorded.jobs)
    assert int(counted["POST", "/v1/jobs"]["Request Count"]) == 12
    assert int(counted["", "time to accept"]["Request Count"]) == 12
    assert int(counted["", "time to result"]["Request Count"]) == succeeded
    assert int(counted["", "Aggregated"]["Failure Count"]) == 0
    assert {("GET", "/v1/jobs/{id}"), ("GET", "/v1/jobs/{id}/events")} <= counted.keys()
    assert str(tmp_path / "run" / "report.html") in done.err
    assert "time to result" in done.out


def test_without_a_server_it_has_one_of_its_own_and_leaves_nothing_behind(tmp_path: Path) -> None:
    second = REQUEST.replace("0.3", "1")  # long enough to be seen by a look each second
    # So many that the generator is seen at work: its CPU time is told in hundredths of a second, and few jobs take none.
    options = ("--shape=spike", "--jobs=40", "--cancel=0", "--speed=20", "--json", "--request", second)
    done = load(tmp_path, *options, ESSAIM_RELEASE="NOT VALID")
    assert done.code == 0, done.out + done.err
    (figures,) = json.loads(done.out)["runs"]
    assert figures["states"] == {"succeeded": 40}
    assert figures["errors"] == figures["faults"] == []
    assert 0 < figures["generator_cpu"] < 1
    assert figures["worker_seconds"] > figures["idle_seconds"] > 0
    roles = {row["role"]: int(row["memory"]) for row in rows(tmp_path / "run" / "processes.csv")}
    assert roles.keys() == {"api", "worker", "supervisor", "generator"}
    assert all(memory > 5_000_000 for memory in roles.values())
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("<svg") == 6
    assert "job.submitted" in (tmp_path / "run" / "logs" / "api.log").read_text()
    assert not any((tmp_path / "tmp").iterdir())
    assert processes(tmp_path / "tmp") == set()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--request", "/nowhere/request.json"), "/nowhere/request.json: No such file"),
        (("--request", "{"), "is not JSON"),
        (("--jobs", "0"), "1 or more"),
        (("--out", "/proc/version"), "/proc/version"),
        (("--speed", "-1"), "Essaim did not start"),
        (("--scaledobject", "/proc/version"), "/proc/version is no ScaledObject"),
        (("--server", "http://127.0.0.1:99999"), "is not a server's address"),
        (("--server", "127.0.0.1:1"), "nothing answers at http://127.0.0.1:1 "),
    ],
)
def test_what_cannot_be_tried_is_a_sentence(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = load(tmp_path, *arguments)
    assert done.code == 2, done.err
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_job_that_fails_is_an_exit_code_and_a_sentence(tmp_path: Path) -> None:
    nothing = '{"texts": ["no/such/text"], "words": ["swarm"]}'
    done = load(tmp_path, "--shape=spike", "--jobs=2", "--cancel=0", "--speed=20", "--request", nothing)
    assert done.code == 1
    assert re.search(r"^WRONG: 2 jobs failed: ", done.err, re.MULTILINE)
    assert "2 failed" in done.out
    assert "2 jobs failed" in (tmp_path / "run" / "report.html").read_text()


def test_a_server_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    done = load(tmp_path, "--shape=spike", "--jobs=1", "--patience=0", "--server", "http://127.0.0.1:1")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("load: nothing answers at http://127.0.0.1:1")
    assert "Traceback" not in done.err


def test_an_api_that_is_killed_costs_requests_and_no_job(tmp_path: Path) -> None:
    slow = REQUEST.replace("0.3", "3")
    with house(tmp_path / "house") as (_, url):
        options = ("--shape=spike", "--jobs=6", "--cancel=0", "--speed=20", "--server", url, "--request", slow)
        with start(tmp_path, *options) as process:
            visits = Visits(tmp_path / "run")

            def accepted() -> bool:
                visits.look()
                return visits.count()[0] == 6

            wait_until(accepted, "six jobs")
            (api,) = [
                pid
                for pid in processes(tmp_path / "house")
                if b"\0essaim_api\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            os.kill(api, signal.SIGKILL)
            out, err = process.communicate(timeout=3 * DEADLINE)
    assert process.returncode == 0, out + err
    assert "6 succeeded" in out
    assert sum(int(row["Occurrences"]) for row in rows(tmp_path / "run" / "requests_failures.csv")) > 0
    assert rows(tmp_path / "run" / "requests_exceptions.csv") == []


def test_visitors_come_until_it_is_enough(tmp_path: Path) -> None:
    enough, visits = tmp_path / "enough", Visits(tmp_path / "run")

    def three_left() -> bool:
        visits.look()
        return visits.count()[1] >= 3

    soak = ("--shape=soak", "--jobs=3000", "--span=1000", f"--until={enough}", "--cancel=0", "--speed=20")
    with start(tmp_path, *soak) as process:
        wait_until(three_left, "three visitors have left")
        enough.touch()
        out, err = process.communicate(timeout=3 * DEADLINE)
    assert process.returncode == 0, out + err
    recorded = read(tmp_path / "run")
    assert 3 <= len(recorded.jobs) == recorded.run.users < 3000
    assert {job.state for job in recorded.jobs} == {"succeeded"}
    visits.look()
    assert {visit.release for visit in visits.by_number.values()} == {recorded.run.versions["release"]}


async def test_a_job_that_the_server_has_never_heard_of_is_lost(site: Site) -> None:
    visit = Visit(0, "key", "", False, False, submitted=1.0, accepted=2.0, state="succeeded", done=True)
    visits = [replace(visit, id=await site.submit()), replace(visit, id=str(uuid4()))]
    await site.succeed(visits[0].id)
    seen = await look_up(Client("here", site.http), visits)
    assert [it.state for it in seen] == ["succeeded", "lost"]
    (fault,) = faults(2, visits, seen)
    assert fault == f"1 job accepted, and the server has never heard of it: {visits[1].id}"


async def test_replicas_are_those_of_deployment_and_hpa(kubernetes: ApiServer) -> None:
    namespace = "/namespaces/essaim"
    kubernetes.objects = {
        f"/apis/apps/v1{namespace}/deployments/essaim-worker-v1": {
            "spec": {"replicas": 5},
            "status": {"readyReplicas": 3},
        },
        f"/apis/autoscaling/v2{namespace}/horizontalpodautoscalers/keda-hpa-essaim-worker-v1": {
            "status": {"desiredReplicas": 7}
        },
        f"/apis/keda.sh/v1alpha1{namespace}/scaledobjects/essaim-worker-v1": {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "essaim-worker-v1", "managedFields": []},
            "spec": {"cooldownPeriod": 60},
            "status": {},
        },
    }
    async with open_kubernetes(kubernetes.cluster()) as client:
        workers = WorkerObjects(client, "essaim", "v1")
        assert await workers.replicas() == (5, 3, 7)
        found = await workers.scaledobject()
        with pytest.raises(ScaledObjectError, match="is --namespace right"):
            await WorkerObjects(client, "essaim", "v2").scaledobject()
    assert found["metadata"] == {"name": "essaim-worker-v1"}
    assert found["spec"] == {"cooldownPeriod": 60}
