"""Workers leave while long tasks run: the idle ones first, and whoever is busy hands its task on."""

from itertools import pairwise

import pytest

from tests.cluster.access import Cluster
from tests.cluster.load import Load
from tests.cluster.timeline import Timeline

COST = "controller.kubernetes.io/pod-deletion-cost"
PODS = "/api/v1/namespaces/{}/pods?labelSelector=app.kubernetes.io/component=worker"


def costs(cluster: Cluster) -> dict[str, int]:
    """The deletion cost of each worker's pod that is not leaving."""
    pods = [it["metadata"] for it in cluster.read(PODS)["items"]]
    return {it["name"]: int(it.get("annotations", {}).get(COST, 0)) for it in pods if "deletionTimestamp" not in it}


def busy_pods(load: Load) -> set[str]:
    """A worker's name is its pod's and the process's number."""
    running = [looks[-1].worker for looks in load.looks.values() if looks and looks[-1].state == "running"]
    return {worker.rpartition("-")[0] for worker in running}


@pytest.fixture
def load(cluster: Cluster) -> Load:
    return Load(cluster)


def test_idle_pods_leave_before_busy_ones(cluster: Cluster, timeline: Timeline, load: Load) -> None:
    """Four long tasks among many short ones. When the short ones are done, there are more workers than busy ones."""
    with load.looking():
        load.submit(4, pause_seconds=240)
        load.submit(20, pause_seconds=20)
        timeline.until(lambda it: it.workers >= 8)
        timeline.until(lambda it: it.ready == 0 and load.running() == 4)
        timeline.until(lambda _: sum(1 for cost in costs(cluster).values() if cost) == 4)
        before, busy = costs(cluster), busy_pods(load)
        print("\n  pod                                    cost  at work")
        for pod, cost in sorted(before.items(), key=lambda it: it[1]):
            print(f"  {pod:<38} {cost:>4}  {'yes' if pod in busy else 'no'}")
        assert {pod for pod, cost in before.items() if cost} == busy
        timeline.until(lambda _: len(costs(cluster)) < len(before))
        timeline.until(lambda it: it.started <= 4)
        assert busy <= costs(cluster).keys()
        states = load.until_ended()
    print(load.table())
    assert set(states.values()) == {"succeeded"}
    assert not any(load.handovers(job) for job in load.looks)


def test_who_must_leave_hands_its_task_on_and_nothing_saved_is_done_again(
    cluster: Cluster, timeline: Timeline, load: Load
) -> None:
    """Six busy workers, and somebody who wants two: four tasks change hands, and the HPA wants its workers back."""
    with load.looking():
        load.submit(10, pause_seconds=75)
        timeline.until(lambda it: load.saving() >= 6 and it.workers >= 6)
        cluster.kubectl("scale", "deployment/essaim-worker-dev", "--replicas=2")
        timeline.until(lambda it: it.workers <= 2)
        states = load.until_ended()
    print(f"\n{load.table()}")
    assert set(states.values()) == {"succeeded"}
    assert sum(len(load.handovers(job)) for job in load.looks) >= 4
    assert not load.redone()
    print_redone(load)


def print_redone(load: Load) -> None:
    """Seconds that attempts ran, without those they saved: what was done twice, and what saving itself costs."""
    print("  job           ran in all  of these more than its pause")
    for job, looks in load.looks.items():
        ran = sum(b.at - a.at for a, b in pairwise(looks) if a.state == "running")
        print(
            f"  {job[-12:]} {ran:>11.1f} {ran - load.pause[job]:>11.1f}{'' if load.handovers(job) else '  (undisturbed)'}"
        )
