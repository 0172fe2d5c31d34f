"""Whatever pod is killed while jobs run: each job that was accepted succeeds."""

from collections import Counter

import pytest

from tests.cluster.access import Cluster
from tests.cluster.load import Load
from tests.cluster.timeline import Timeline

COMPONENT = "app.kubernetes.io/component={}"


@pytest.mark.parametrize("victim", ["worker", "rabbitmq", "api"])
def test_nothing_is_lost_when_a_pod_is_killed(cluster: Cluster, timeline: Timeline, victim: str) -> None:
    """Force: no SIGTERM that anybody could use. Jobs come before and while the pod is missing."""
    load = Load(cluster)
    with load.looking():
        load.submit(8, pause_seconds=15)
        timeline.until(lambda it: load.running() >= 2 and load.saved() >= 4)
        label = "app.kubernetes.io/name=rabbitmq" if victim == "rabbitmq" else COMPONENT.format(victim)
        pods = cluster.kubectl(
            "get", "pods", "-l", label, "--field-selector=status.phase=Running", "-o", "name"
        ).split()
        cluster.kubectl("delete", "--force", "--grace-period=0", pods[0])
        load.submit(8, pause_seconds=5)
        states = load.until_ended()
    print(f"\n  killed: {pods[0]}; {load.refused} requests made again; {dict(Counter(states.values()))}")
    print(load.table())
    assert len(states) == 16
    assert set(states.values()) == {"succeeded"}
    assert not load.redone()
