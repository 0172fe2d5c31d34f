"""The local overlay for a namespace and a release of its own, with the images that this cluster has.

ESSAIM_TEST_IMAGES says which: `essaim=NAME:TAG`, and as many as differ from the overlay's, comma-separated.
ESSAIM_TEST_COMPONENT adds a kustomize component, for what a cluster needs otherwise; ESSAIM_TEST_STORE_URL is for a
MongoDB that is not ours, with `{namespace}` for a database each. Without ESSAIM_TEST_OBSERVABILITY the overlay is
without what observes it: large images, and what is measured shall be Essaim.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT
from tests.unit.platform_builds import name_release

IMAGES = dict(pair.split("=") for pair in os.environ.get("ESSAIM_TEST_IMAGES", "").split(",") if pair)
COMPONENT = os.environ.get("ESSAIM_TEST_COMPONENT", "")
OBSERVABILITY = "ESSAIM_TEST_OBSERVABILITY" in os.environ
STORE_URL = os.environ.get("ESSAIM_TEST_STORE_URL", "")


def write_overlay(folder: Path, namespace: str, release: str, images: dict[str, str] | None = None) -> Path:
    """A copy of platform/ in `folder`, whose local overlay is for that place: where that is."""
    shutil.copytree(ROOT / "platform", folder / "platform", dirs_exist_ok=True)
    overlay = folder / "platform" / "overlays" / "local"
    name_release(overlay, release)
    _edit(overlay / "kustomization.yaml", lambda it: _kustomization(it, namespace, {**IMAGES, **(images or {})}))
    if not OBSERVABILITY:
        _edit(overlay / "release" / "settings.yaml", _untold)
    if COMPONENT:
        shutil.copytree(COMPONENT, overlay / "here", dirs_exist_ok=True)
    return overlay


def _edit(file: Path, change: Callable[[Any], None]) -> None:
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def _untold(content: dict[str, dict[str, str]]) -> None:
    content["data"] = {name: value for name, value in content["data"].items() if not name.startswith("OTEL_")}


def _kustomization(content: dict[str, Any], namespace: str, images: dict[str, str]) -> None:
    content["namespace"] = namespace
    if not OBSERVABILITY:
        content["resources"].remove("../../observability")
    for image in content["images"]:
        if wanted := images.get(image["name"]):
            image["newName"], _, image["newTag"] = wanted.rpartition(":")
    if COMPONENT:
        content["components"].append("here")
