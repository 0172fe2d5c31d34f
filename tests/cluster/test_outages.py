"""What the autoscaler and the queue are to a running system: away for a while, and it costs nothing but time."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.cluster.access import Cluster, kubectl
from tests.cluster.load import Load
from tests.cluster.timeline import Timeline

AWAY_SECONDS = 40
OPERATOR = ("--namespace", "keda", "-l", "app=keda-operator")


def operators() -> set[str]:
    """KEDA's operators that are ready, by the names of their pods."""
    pods = json.loads(kubectl("get", "pods", *OPERATOR, "-o", "json"))["items"]
    statuses = {pod["metadata"]["name"]: pod["status"].get("containerStatuses", []) for pod in pods}
    return {name for name, containers in statuses.items() if any(it["ready"] for it in containers)}


def test_nothing_is_lost_when_kedas_operator_is_killed_in_a_burst(cluster: Cluster, timeline: Timeline) -> None:
    """Nobody is scaled away while nobody decides, and the next operator goes on from there: up, and in the end to none."""
    load = Load(cluster)
    with load.looking():
        load.submit(30, pause_seconds=15)
        timeline.until(lambda it: it.workers >= 1 and load.running() >= 1)
        killed = operators()
        assert killed, "no operator with the label app=keda-operator in the namespace keda"
        kubectl("delete", "pod", *OPERATOR, "--force", "--grace-period=0")
        first = len(timeline.moments)
        timeline.until(lambda _: bool(operators() - killed))
        timeline.until(lambda it: it.workers >= 5)
        timeline.until(lambda it: it.ready == 0 and it.unacked == 0)
        states = load.until_ended()
        tasks = load.tasks()
    busy = [it.started for it in timeline.moments[first:] if it.ready or it.unacked]
    print(
        f"\n  killed: {', '.join(sorted(killed))}; {load.refused} requests made again; {dict(Counter(states.values()))}"
    )
    assert len(states) == 30
    assert set(states.values()) == {"succeeded"}
    assert {task["attempts"] for task in tasks.values()} == {1}
    assert min(busy) >= 1
    timeline.until(lambda it: it.started == 0 and it.workers == 0)


def test_nothing_is_lost_while_rabbitmq_is_away(cluster: Cluster, timeline: Timeline) -> None:
    """Tasks that run go on by their leases in the store. Jobs that come meanwhile are refused, and taken when it is back.

    The HPA may have forgotten by then what it wanted, so that a worker has to leave: it hands its task on, once at most.
    """
    load = Load(cluster)
    with load.looking(), ThreadPoolExecutor(1) as beside:
        load.submit(8, pause_seconds=60)
        timeline.until(lambda it: load.running() >= 2 and load.saved() >= 4)
        cluster.kubectl("scale", "statefulset/rabbitmq", "--replicas=0")
        gone = timeline.until(lambda it: it.ready is None).seconds
        later = beside.submit(load.submit, 4, 5)
        timeline.until(lambda it: it.seconds >= gone + AWAY_SECONDS)
        saved_without = load.saved()
        cluster.kubectl("scale", "statefulset/rabbitmq", "--replicas=1")
        cluster.kubectl("rollout", "status", "statefulset/rabbitmq", "--timeout=240s")
        later.result()
        states = load.until_ended()
        tasks = load.tasks()
    attempts = Counter(task["attempts"] for task in tasks.values())
    print(f"\n  attempts: {dict(attempts)}; {load.refused} requests made again; {dict(Counter(states.values()))}")
    print(load.table())
    assert len(states) == 12
    assert set(states.values()) == {"succeeded"}
    assert saved_without >= AWAY_SECONDS / 2
    assert {task["failures"] for task in tasks.values()} == {0}
    assert max(attempts) <= 2
    assert not load.redone()
