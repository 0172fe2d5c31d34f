"""`essaim rollout` under locust: a release that is slow, or never there, goes again, and nobody has waited in vain."""

from pathlib import Path

from tests.cluster.access import Cluster
from tests.cluster.rollouts import (
    DEPLOYMENT,
    LAST_CHANGED,
    SERVICE,
    STATE,
    Rollout,
    apply,
    differences,
    serving,
    show,
    states,
)
from tests.cluster.visitors import visited


def test_a_release_that_is_slow_is_taken_back(cluster: Cluster, name: str, tmp_path: Path) -> None:
    old = serving(cluster)
    with visited(cluster, tmp_path, pause_seconds=0.5) as visitors:
        rollout = Rollout(cluster, "--release", name, "--steps", "10,50,100", "--min-jobs", "30")
        rollout.until("is to take over")
        apply(cluster, tmp_path, name, slower=1, failing=0)
        assert rollout.end() == 1
    show(visitors, rollout)
    assert any("Roll back: jobs of the new release take" in line for line in rollout.lines)
    assert not visitors.failed_requests
    assert visitors.recording.run.faults == ()
    assert states(visitors) == {"succeeded"}
    assert serving(cluster) == old


def test_a_release_whose_pods_never_start_is_caught_by_time_and_gets_no_request(
    cluster: Cluster, name: str, tmp_path: Path
) -> None:
    before, old = cluster.read(SERVICE), serving(cluster)
    with visited(cluster, tmp_path) as visitors:
        image = "dev.local/essaim:absent"
        rollout = Rollout(cluster, "--release", name, "--image", image, "--timeout", "60s", "--retire")
        assert rollout.end() == 1
    show(visitors, rollout)
    assert visitors.taken().keys() == {old}
    assert not visitors.failed_requests
    assert visitors.recording.run.faults == ()
    assert states(visitors) == {"succeeded"}
    changed = differences(before, cluster.read(SERVICE))
    print(f"  changed on the Service: {sorted(changed)}")
    assert changed <= {"spec.traffic", f"metadata.annotations.{STATE}", *LAST_CHANGED}
    assert serving(cluster) == old
    assert not cluster.read(DEPLOYMENT % name)
