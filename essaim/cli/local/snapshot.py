"""The code of a release as it was when it was started: what is edited later is another release."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from essaim.cli.errors import CliError

# What a release's own processes run, and where a checkout has it.
PACKAGES = {"essaim": "essaim", "essaim_api": "api/essaim_api", "essaim_worker": "worker/essaim_worker"}
YOURS = {"payload.py": "essaim/jobs", "workload.py": "essaim_worker"}  # ★


def take(folder: Path, path: Path | None) -> None:
    """Make the folder hold this installation's packages, with what is under `path` in their place.

    That is `payload.py` or `workload.py` themselves, or packages as in a checkout with files that replace ours, or a whole
    checkout. Raises `CliError` where there is none of it.
    """
    if path is not None and path.resolve() == folder.resolve():
        raise CliError(f"{path} is where the copy of a release goes, which begins anew: name a folder elsewhere")
    shutil.rmtree(folder, ignore_errors=True)
    for name, place in PACKAGES.items():
        if path is None or not (path / place / "__init__.py").is_file():
            _copy(_installed(name), folder / name)
    if path is not None and not _lay_over(folder, path):
        places = ", ".join(PACKAGES.values())
        raise CliError(f"{path} holds no release: no payload.py, no workload.py, and no folder {places}")


def _lay_over(folder: Path, path: Path) -> bool:
    parts = {name: path / place for name, place in PACKAGES.items() if (path / place).is_dir()}
    for name, part in parts.items():
        _copy(part, folder / name)
    files = [name for name in YOURS if (path / name).is_file()]
    for name in files:
        shutil.copy(path / name, folder / YOURS[name] / name)
    return bool(parts or files)


def _installed(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None  # noqa: PT018, S101  # this installation's own
    return Path(spec.origin).parent


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
