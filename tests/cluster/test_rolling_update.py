"""Other workers in the place of those that are there, while they work."""

from tests.cluster.access import Cluster
from tests.cluster.load import Load
from tests.cluster.timeline import Timeline

WORKERS = "deployment/essaim-worker-dev"
AGAIN = '{"spec": {"template": {"metadata": {"annotations": {"example.org/again": "%s"}}}}}'


def test_a_rolling_update_under_load_loses_nothing(cluster: Cluster, timeline: Timeline) -> None:
    load = Load(cluster)
    with load.looking():
        first = load.submit(6, pause_seconds=40)
        timeline.until(lambda it: load.running() >= 4)
        old = cluster.kubectl("get", "pods", "-l", "app.kubernetes.io/component=worker", "-o", "name").split()
        cluster.kubectl("patch", WORKERS, "-p", AGAIN % first[0])
        load.submit(6, pause_seconds=10)
        cluster.kubectl("rollout", "status", WORKERS, "--timeout=200s")
        now = cluster.kubectl("get", "pods", "-l", "app.kubernetes.io/component=worker", "-o", "name").split()
        states = load.until_ended()
    print(f"\n  workers before: {len(old)}, after: {len(set(now) - set(old))} others; refused: {load.refused}")
    print(load.table())
    assert len(states) == 12
    assert set(states.values()) == {"succeeded"}
    assert any(load.handovers(job) for job in first)
    assert not load.redone()
