"""`essaim rollout` under locust: a good release takes over, whatever happens to who rolls it out."""

from pathlib import Path

import yaml

from tests.cluster.access import Cluster, kubectl
from tests.cluster.place import IMAGES, write_overlay
from tests.cluster.rollouts import DEPLOYMENT, LAST_CHANGED, SERVICE, STATE, Rollout, differences, serving, show, states
from tests.cluster.visitors import visited


def test_a_good_release_takes_over_and_the_old_one_is_removed(cluster: Cluster, name: str, tmp_path: Path) -> None:
    before, old = cluster.read(SERVICE), serving(cluster)
    with visited(cluster, tmp_path) as visitors:
        image = IMAGES.get("essaim", "dev.local/essaim:dev")
        options = ("--steps", "10,50,100", "--min-jobs", "20", "--shadow", "5", "--retire")
        rollout = Rollout(cluster, "--release", name, "--image", image, *options)
        assert rollout.end() == 0
        visitors.until_succeeded(100)  # after it, while the old one goes
    show(visitors, rollout)
    assert not visitors.failed_requests
    assert visitors.recording.run.faults == ()
    assert states(visitors) == {"succeeded"}
    assert visitors.taken().keys() == {old, name}
    after = cluster.read(SERVICE)
    changed = differences(before, after)
    print(f"  changed on the Service: {sorted(changed)}")
    assert after["spec"]["traffic"] == [{"latestRevision": False, "revisionName": f"essaim-{name}", "percent": 100}]
    template = {it for it in changed if it.startswith("spec.template.")}
    assert changed - template <= {"spec.traffic", f"metadata.annotations.{STATE}", *LAST_CHANGED}
    assert not cluster.read(DEPLOYMENT % old)


def test_killed_in_the_middle_it_is_taken_up_and_nothing_is_lost(cluster: Cluster, name: str, tmp_path: Path) -> None:
    with visited(cluster, tmp_path) as visitors:
        image = IMAGES.get("essaim", "dev.local/essaim:dev")
        first = Rollout(cluster, "--release", name, "--image", image, "--steps", "20,50,100", "--min-jobs", "20")
        first.until(" 20 % of the requests go")
        first.kill()
        second = Rollout(cluster, "resume")
        assert second.end() == 2
        assert "--takeover" in second.lines[-1]
        third = Rollout(cluster, "resume", "--takeover")
        assert third.end() == 0
    show(visitors, first, second, third)
    assert not visitors.failed_requests
    assert visitors.recording.run.faults == ()
    assert states(visitors) == {"succeeded"}
    assert serving(cluster) == name


def test_a_job_in_the_cluster_rolls_out_what_is_applied(cluster: Cluster, name: str, tmp_path: Path) -> None:
    """With the rights of platform/components/rollout, and by the names that the cluster has for the Service and its tags."""
    assert Rollout(cluster, "--release", serving(cluster)).end() == 0  # pinned
    with visited(cluster, tmp_path) as visitors:
        overlay = write_overlay(tmp_path, cluster.namespace, name)
        kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text())
        kustomization["components"].insert(0, "../../components/rollout")
        args = ["--steps", "20,100", "--min-jobs", "20", "--timeout", "4m"]
        patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": args}]
        target = {"kind": "Job", "labelSelector": "app.kubernetes.io/component=rollout"}
        kustomization["patches"].append({"target": target, "patch": yaml.safe_dump(patch)})
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        kubectl("apply", "-k", str(overlay))
        job = f"job/essaim-rollout-{name}"
        cluster.kubectl("wait", job, "--for=condition=complete", "--timeout=290s", check=False)
        print(cluster.kubectl("logs", job))
    show(visitors)
    assert serving(cluster) == name
    assert not visitors.failed_requests
    assert visitors.recording.run.faults == ()
    assert states(visitors) == {"succeeded"}
