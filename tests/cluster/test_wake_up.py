"""How long a job waits when nobody is there, and for what."""

import math
import os
import re
import statistics
import time
from datetime import UTC, datetime

import httpx

from tests.cluster.access import Cluster
from tests.cluster.timeline import Timeline

TRIES = int(os.environ.get("ESSAIM_TEST_WAKE_UPS", "20"))
GOAL_SECONDS = 1.8
PODS = "/api/v1/namespaces/{}/pods?labelSelector=app.kubernetes.io/component=worker"


def test_a_worker_is_there_soon(cluster: Cluster, timeline: Timeline) -> None:
    """From the POST to the first claim. The worker's own clock tells of the last parts: node and client must agree."""
    rows = []
    with cluster.api() as api:
        for _ in range(TRIES):
            timeline.until(lambda it: it.formula == 0)  # or KEDA would wake it again; the cooldown is not waited for
            cluster.kubectl("scale", "deployment/essaim-worker-dev", "--replicas=0")
            timeline.until(lambda it: it.started == 0 and it.workers == 0)
            while cluster.read(PODS)["items"]:
                time.sleep(0.1)
            assert api.get("/readyz").status_code == 200  # the API is awake: this is about the worker
            rows.append(wake(cluster, api))
            print([round(value, 2) for value in rows[-1]], flush=True)
    print(f"\n  goal: p95 under {GOAL_SECONDS} s")
    show(("KEDA starts a pod", "until Python is ready", "first claim", "all", "(kubelet says that it runs)"), rows)


def wake(cluster: Cluster, api: httpx.Client) -> tuple[float, ...]:
    posted = time.time()
    answer = api.post("/v1/jobs", json={"words": ["a"], "text": "a"})
    assert answer.status_code == 202
    created = started = 0.0
    while not started:
        pods = cluster.read(PODS)["items"]
        if pods and not created:
            created = time.time()
        running = [it for pod in pods for it in pod["status"].get("containerStatuses", []) if "running" in it["state"]]
        if running:
            started = time.time()
        time.sleep(0.02)
    location = answer.headers["location"]
    while (job := api.get(location).json())["started"] is None:
        time.sleep(0.02)
    claimed = datetime.fromisoformat(job["started"]).timestamp()
    log = cluster.kubectl("logs", "deployment/essaim-worker-dev")
    clock = re.search(r"^(\d\d):(\d\d):(\d\d)\.(\d{3}) \S+ +worker\.started", log, re.M)
    assert clock, log
    hours, minutes, seconds, milli = map(int, clock.groups())
    today = datetime.fromtimestamp(posted, UTC)
    ready = today.replace(hour=hours, minute=minutes, second=seconds, microsecond=milli * 1000).timestamp()
    return created - posted, ready - created, claimed - ready, claimed - posted, started - posted


def test_the_api_is_there_soon(cluster: Cluster, timeline: Timeline) -> None:
    rows = []
    for _ in range(TRIES):
        timeline.until(lambda it: it.api == 0)
        while cluster.read(PODS.replace("worker", "api"))["items"]:
            time.sleep(0.2)
        began = time.time()
        with cluster.api() as api:
            assert api.get("/v1/jobs?limit=1").status_code == 200
        rows.append((time.time() - began,))
        print(round(rows[-1][0], 2), flush=True)
    print(f"\n  goal: p95 under {GOAL_SECONDS} s")
    show(("first answer",), rows)


def show(names: tuple[str, ...], rows: list[tuple[float, ...]]) -> None:
    print(f"\n  {len(rows)} tries, seconds{'':14} p50   p95   max")
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        ordered = sorted(column)
        p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
        print(f"  {name:<30} {statistics.median(ordered):5.2f} {p95:5.2f} {ordered[-1]:5.2f}")
