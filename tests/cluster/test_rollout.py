"""`essaim rollout` on a cluster under locust: what becomes of good releases, of bad ones, of every request and every job."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.access import Cluster, kubectl
from tests.cluster.place import IMAGES, write_overlay
from tests.cluster.rollouts import Rollout, apply, smoke
from tests.cluster.visitors import Visitors, visited

SERVICE = "/apis/serving.knative.dev/v1/namespaces/{}/services/essaim"
DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/essaim-worker-%s"
STATE = "essaim.dev/rollout"
LATER = ("status", "metadata.resourceVersion", "metadata.generation", "metadata.managedFields")


def serving(cluster: Cluster) -> str:
    (entry,) = [it for it in cluster.read(SERVICE)["status"]["traffic"] if it.get("percent")]
    return str(entry["revisionName"]).removeprefix("essaim-")


def show(visitors: Visitors, *rollouts: Rollout) -> None:
    """What was said, and what the visitors saw, by the same clock."""
    events = sorted([*visitors.rows(), *(said for rollout in rollouts for said in rollout.said)])
    print("\n".join(f"  {at - events[0][0]:6.1f} s  {what}" for at, what in events))
    print(f"  jobs by release: {dict(visitors.taken())}; failed requests: {visitors.failed_requests}")


def states(visitors: Visitors) -> set[str]:
    """In which their jobs are, now that all have left."""
    return {job.state for job in visitors.recording.jobs}


def flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            name: leaf for key, each in value.items() for name, leaf in flat(each, f"{path}.{key}".strip(".")).items()
        }
    return {path: value}


def differences(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The paths of what is another, beyond what the API server counts and Knative reports."""
    one, two = flat(before), flat(after)
    paths = {path for path in one.keys() | two.keys() if one.get(path) != two.get(path)}
    return {path for path in paths if not path.startswith(LATER)}


LAST_CHANGED = {"metadata.annotations.serving.knative.dev/lastModifier"}


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


def test_a_release_that_fails_jobs_is_taken_back_and_they_all_succeed(
    cluster: Cluster, name: str, tmp_path: Path
) -> None:
    old = serving(cluster)
    with visited(cluster, tmp_path) as visitors:
        steps = ("--steps", "1,10,100", "--requeue-failed", "--smoke", smoke(tmp_path))
        rollout = Rollout(cluster, "--release", name, *steps)
        rollout.until("is to take over")
        before = cluster.read(SERVICE)
        apply(cluster, tmp_path, name, slower=0, failing=0.2)
        assert rollout.end() == 1
    show(visitors, rollout)
    failed = [visit for visit in visitors.visits if visit.state == "failed"]
    touched, all_jobs = visitors.taken()[name], len(visitors.recording.jobs)
    print(f"  taken by the bad release: {touched} of {all_jobs}, {touched / all_jobs:.2%}; {len(failed)} failed there")
    assert failed
    assert {visit.release for visit in failed} == {name}
    assert not visitors.failed_requests
    assert states(visitors) == {"succeeded"}
    assert all("in another state than its visitor saw" in fault for fault in visitors.recording.run.faults)
    assert touched < 0.02 * all_jobs
    assert not [line for line in rollout.lines if re.search(r" 10 % of the requests go", line)]
    assert serving(cluster) == old
    assert cluster.read(SERVICE)["spec"]["traffic"] == before["spec"]["traffic"]


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
