"""`essaim rollout` as a person runs it, releases that it must find out, and what has become of the Service."""

import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.access import Cluster, kubectl
from tests.cluster.place import write_overlay
from tests.cluster.visitors import Visitors
from tests.conftest import ROOT

SERVICE = "/apis/serving.knative.dev/v1/namespaces/{}/services/essaim"
DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/essaim-worker-%s"
STATE = "essaim.dev/rollout"
LATER = ("status", "metadata.resourceVersion", "metadata.generation", "metadata.managedFields")
LAST_CHANGED = {"metadata.annotations.serving.knative.dev/lastModifier"}

# Found by Python before anything else: the workload of this release alone is another.
BAD = """
import random
import time
import essaim_words.workload as workload
from essaim.errors import JobError

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
    """`essaim rollout` in a process of its own; its lines are printed as they come, and kept with their times."""

    def __init__(self, cluster: Cluster, *arguments: str) -> None:
        options = ("--namespace", cluster.namespace, "--ingress", os.environ.get("ESSAIM_TEST_INGRESS", ""))
        command = [sys.executable, "-m", "essaim.cli", "rollout", *arguments, *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said: list[tuple[float, str]] = []

    @property
    def lines(self) -> list[str]:
        return [line for _, line in self.said]

    def until(self, pattern: str) -> str:
        """The first line from now on that is like that."""
        for line in self._read():
            if re.search(pattern, line):
                return line
        raise AssertionError(f"it ended with {self.process.wait()}, and has not said {pattern}")

    def end(self) -> int:
        with self.process:
            deque(self._read(), maxlen=0)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def _read(self) -> Iterator[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append((time.time(), line.rstrip()))
            print(f"  {line.rstrip()}", flush=True)
            yield line


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
    target = {"kind": "Deployment", "name": "essaim-worker"}
    kustomization.setdefault("patches", []).append({"target": target, "patch": yaml.safe_dump(patch)})
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    kubectl("apply", "-k", str(overlay))


def smoke(folder: Path) -> str:
    """A first job that a bad release succeeds in: it has no pause."""
    file = folder / "smoke.json"
    file.write_text('{"words": ["a"], "text": "a"}')
    return str(file)


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
