"""`essaim rollout` on a cluster, while visitors come: what becomes of good releases, of bad ones, and of every job."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.access import Cluster, kubectl
from tests.cluster.place import IMAGES, write_overlay
from tests.cluster.visitors import Visitors
from tests.conftest import ROOT

SERVICE = "/apis/serving.knative.dev/v1/namespaces/{}/services/essaim"
DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/essaim-worker-%s"
STATE = "essaim.dev/rollout"
LATER = ("status", "metadata.resourceVersion", "metadata.generation", "metadata.managedFields")
# Found by Python before anything else: the workload of this release alone is another.
BAD = """
import random
import time
import worker.workload as workload
from jobs.errors import JobError

good = workload.run

def run(request, task, attempt):
    began = time.monotonic()
    result = good(request, task, attempt)
    attempt.sleep((time.monotonic() - began) * {slower})
    if request.pause_seconds and random.random() < {failing}:
        raise JobError("this release is a bad one")
    return result

workload.run = run
"""


class Rollout:
    """`essaim rollout` in a process of its own; its lines are printed as they come."""

    def __init__(self, cluster: Cluster, *arguments: str) -> None:
        options = ("--namespace", cluster.namespace, "--ingress", os.environ.get("ESSAIM_TEST_INGRESS", ""))
        command = [sys.executable, "-m", "cli", "rollout", *arguments, *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []

    def until(self, pattern: str) -> str:
        """The first line from now on that is like that."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            print(f"  {line.rstrip()}", flush=True)
            if re.search(pattern, line):
                return line
        raise AssertionError(f"it ended with {self.process.wait()}, and has not said {pattern}")

    def end(self) -> int:
        with self.process:
            assert self.process.stdout is not None
            for line in self.process.stdout:
                self.lines.append(line.rstrip())
                print(f"  {line.rstrip()}", flush=True)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.end()


@contextmanager
def visited(cluster: Cluster, pause_seconds: float = 0.1) -> Iterator[Visitors]:
    """Visitors, who have been there for a while."""
    with Visitors(cluster, pause_seconds).coming() as visitors:
        visitors.until_accepted(30)
        visitors.refused.clear()  # of the start from zero
        yield visitors


def serving(cluster: Cluster) -> str:
    (entry,) = [it for it in cluster.read(SERVICE)["status"]["traffic"] if it.get("percent")]
    return str(entry["revisionName"]).removeprefix("essaim-")


def apply(cluster: Cluster, folder: Path, release: str, slower: float, failing: float) -> None:
    """That release, whose workload is slower by so much, or fails in so many cases of one."""
    overlay = write_overlay(folder, cluster.namespace, release)
    data = {"sitecustomize.py": BAD.format(slower=slower, failing=failing)}
    bad = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"bad-{release}"}, "data": data}
    (overlay / "bad.yaml").write_text(yaml.safe_dump(bad))
    pod = "/spec/template/spec"
    patch = [
        {"op": "add", "path": f"{pod}/volumes/-", "value": {"name": "bad", "configMap": {"name": f"bad-{release}"}}},
        {"op": "add", "path": f"{pod}/containers/0/volumeMounts/-", "value": {"name": "bad", "mountPath": "/bad"}},
        {"op": "add", "path": f"{pod}/containers/0/env/-", "value": {"name": "PYTHONPATH", "value": "/bad"}},
    ]
    kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    kustomization["resources"].append("bad.yaml")
    target = {"kind": "Deployment", "name": "essaim-worker-dev"}
    kustomization.setdefault("patches", []).append({"target": target, "patch": yaml.safe_dump(patch)})
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    kubectl("apply", "-k", str(overlay))


def report(visitors: Visitors, states: dict[str, str]) -> None:
    print(f"  jobs by release: {dict(visitors.taken())}; requests refused: {visitors.refused}")
    print(f"  not succeeded: {[job for job, state in states.items() if state != 'succeeded']}")


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


def test_a_good_release_takes_over_and_the_old_one_is_removed(cluster: Cluster, name: str) -> None:
    before, old = cluster.read(SERVICE), serving(cluster)
    with visited(cluster) as visitors:
        image = IMAGES.get("essaim", "dev.local/essaim:dev")
        options = ("--steps", "10,50,100", "--min-jobs", "20", "--shadow", "5", "--retire")
        rollout = Rollout(cluster, "--release", name, "--image", image, *options)
        assert rollout.end() == 0
        visitors.until_accepted(100)  # after it, while the old one goes
    states = visitors.until_ended()
    report(visitors, states)
    assert not visitors.refused
    assert set(states.values()) == {"succeeded"}
    assert visitors.taken().keys() == {old, name}
    after = cluster.read(SERVICE)
    changed = differences(before, after)
    print(f"  changed on the Service: {sorted(changed)}")
    assert after["spec"]["traffic"] == [{"latestRevision": False, "revisionName": f"essaim-{name}", "percent": 100}]
    template = {it for it in changed if it.startswith("spec.template.")}
    assert changed - template <= {"spec.traffic", f"metadata.annotations.{STATE}", *LAST_CHANGED}
    assert not cluster.read(DEPLOYMENT % old)


LAST_CHANGED = {"metadata.annotations.serving.knative.dev/lastModifier"}


def test_a_release_that_fails_jobs_is_taken_back_and_they_all_succeed(
    cluster: Cluster, name: str, tmp_path: Path
) -> None:
    old = serving(cluster)
    with visited(cluster) as visitors:
        rollout = Rollout(
            cluster, "--release", name, "--steps", "1,10,100", "--requeue-failed", "--smoke", smoke(tmp_path)
        )
        rollout.until("is to take over")
        before = cluster.read(SERVICE)
        apply(cluster, tmp_path, name, slower=0, failing=0.2)
        assert rollout.end() == 1
    states = visitors.until_ended()
    report(visitors, states)
    touched = visitors.taken()[name]
    print(f"  taken by the bad release: {touched} of {len(visitors.accepted)}, {touched / len(visitors.accepted):.1%}")
    assert not visitors.refused
    assert set(states.values()) == {"succeeded"}
    assert touched < 0.02 * len(visitors.accepted)
    assert not [line for line in rollout.lines if re.search(r" 10 % of the requests go", line)]
    assert serving(cluster) == old
    assert cluster.read(SERVICE)["spec"]["traffic"] == before["spec"]["traffic"]


def test_a_release_that_is_slow_is_taken_back(cluster: Cluster, name: str, tmp_path: Path) -> None:
    old = serving(cluster)
    with visited(cluster, pause_seconds=0.5) as visitors:
        rollout = Rollout(cluster, "--release", name, "--steps", "10,50,100", "--min-jobs", "30")
        rollout.until("is to take over")
        apply(cluster, tmp_path, name, slower=1, failing=0)
        assert rollout.end() == 1
    states = visitors.until_ended()
    report(visitors, states)
    assert any("Roll back: jobs of the new release take" in line for line in rollout.lines)
    assert set(states.values()) == {"succeeded"}
    assert serving(cluster) == old


def test_a_release_whose_pods_never_start_is_caught_by_time_and_gets_no_request(cluster: Cluster, name: str) -> None:
    before, old = cluster.read(SERVICE), serving(cluster)
    with visited(cluster) as visitors:
        image = "dev.local/essaim:absent"
        rollout = Rollout(cluster, "--release", name, "--image", image, "--timeout", "60s", "--retire")
        assert rollout.end() == 1
    states = visitors.until_ended()
    report(visitors, states)
    assert visitors.taken().keys() == {old}
    assert not visitors.refused
    assert set(states.values()) == {"succeeded"}
    changed = differences(before, cluster.read(SERVICE))
    print(f"  changed on the Service: {sorted(changed)}")
    assert changed <= {"spec.traffic", f"metadata.annotations.{STATE}", *LAST_CHANGED}
    assert serving(cluster) == old
    assert not cluster.read(DEPLOYMENT % name)


def test_killed_in_the_middle_it_is_taken_up_and_nothing_is_lost(cluster: Cluster, name: str) -> None:
    with visited(cluster) as visitors:
        image = IMAGES.get("essaim", "dev.local/essaim:dev")
        rollout = Rollout(cluster, "--release", name, "--image", image, "--steps", "20,50,100", "--min-jobs", "20")
        rollout.until(" 20 % of the requests go")
        rollout.kill()
        second = Rollout(cluster, "resume")
        assert second.end() == 2
        assert "--takeover" in second.lines[-1]
        third = Rollout(cluster, "resume", "--takeover")
        assert third.end() == 0
    states = visitors.until_ended()
    report(visitors, states)
    assert not visitors.refused
    assert set(states.values()) == {"succeeded"}
    assert serving(cluster) == name


def test_a_job_in_the_cluster_rolls_out_what_is_applied(cluster: Cluster, name: str, tmp_path: Path) -> None:
    """With the rights of platform/components/rollout, and by the names that the cluster has for the Service and its tags."""
    assert Rollout(cluster, "--release", serving(cluster)).end() == 0  # pinned
    with visited(cluster) as visitors:
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
    states = visitors.until_ended()
    report(visitors, states)
    assert serving(cluster) == name
    assert not visitors.refused
    assert set(states.values()) == {"succeeded"}


def smoke(folder: Path) -> str:
    """A first job that a bad release succeeds in: it has no pause."""
    file = folder / "smoke.json"
    file.write_text('{"words": ["a"], "text": "a"}')
    return str(file)
