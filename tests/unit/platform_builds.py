"""What kustomize makes of platform/, for the tests."""

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT
from tests.servers import absent

Object = dict[str, Any]
PLATFORM = ROOT / "platform"


def build(folder: Path) -> list[Object]:
    """All objects of that folder. Fails with what kustomize says."""
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_kustomize(), str(folder)], capture_output=True, text=True)


@cache
def _kustomize() -> tuple[str, ...]:
    beside = Path(sys.executable).with_name("kustomize")  # `make kustomize`
    if found := shutil.which("kustomize") or (beside.exists() and str(beside)):
        return found, "build"
    if found := shutil.which("kubectl"):
        return found, "kustomize"
    absent("neither kustomize nor kubectl is on the path (CONTRIBUTING.md says how to get one)")


def copy(folder: Path) -> Path:
    """platform/ with the example of a release in production."""
    target, production = folder / "platform", Path("overlays", "production")
    shutil.copytree(PLATFORM, target)
    shutil.rmtree(target / production / "release", ignore_errors=True)
    shutil.copytree(target / production / "release.example", target / production / "release")
    return target


def name_release(overlay: Path, release: str) -> Path:
    """Give that overlay another release, as a person does: in two lines. Returns the overlay."""
    file = overlay / "release" / "kustomization.yaml"
    content, lines = re.subn(
        r"(?m)^(nameSuffix: -|      app\.kubernetes\.io/version: ).+$", rf"\g<1>{release}", file.read_text()
    )
    assert lines == 2, content
    file.write_text(content)
    return overlay


def one(objects: list[Object], kind: str, name: str = "") -> Object:
    """The object of that kind, the only one whose name begins so. The API's is of the kind `KnativeService`."""
    found = [it for it in objects if _kind(it) == kind and it["metadata"]["name"].startswith(name)]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def _kind(it: Object) -> str:
    return "KnativeService" if it["apiVersion"].startswith("serving.knative.dev/") else str(it["kind"])


def pods(objects: list[Object]) -> dict[str, Object]:
    """Every pod's spec, by the name of what makes it."""
    return {
        it["metadata"]["name"]: it["spec"]["template"]["spec"]
        for it in objects
        if _kind(it) in {"DaemonSet", "Deployment", "StatefulSet", "Job", "KnativeService"}
    }


def containers(objects: list[Object]) -> list[Object]:
    return [it for pod in pods(objects).values() for it in [*pod.get("initContainers", []), *pod["containers"]]]
