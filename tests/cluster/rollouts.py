"""`essaim rollout` as a person runs it, and releases that it must find out."""

import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.cluster.access import Cluster, kubectl
from tests.cluster.place import write_overlay
from tests.conftest import ROOT

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
    """`essaim rollout` in a process of its own; its lines are printed as they come, and kept with their times."""

    def __init__(self, cluster: Cluster, *arguments: str) -> None:
        options = ("--namespace", cluster.namespace, "--ingress", os.environ.get("ESSAIM_TEST_INGRESS", ""))
        command = [sys.executable, "-m", "cli", "rollout", *arguments, *options]
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
    target = {"kind": "Deployment", "name": "essaim-worker-dev"}
    kustomization.setdefault("patches", []).append({"target": target, "patch": yaml.safe_dump(patch)})
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    kubectl("apply", "-k", str(overlay))


def smoke(folder: Path) -> str:
    """A first job that a bad release succeeds in: it has no pause."""
    file = folder / "smoke.json"
    file.write_text('{"words": ["a"], "text": "a"}')
    return str(file)
