"""The code of a release as it was when it was started: what is edited later is another release."""

import shutil
from pathlib import Path

from essaim.cli.errors import CliError

PACKAGES = ("api", "jobs", "worker")  # what a release's own processes run
YOURS = {"payload.py": "jobs", "workload.py": "worker"}  # ★
OURS = Path(__file__).parents[1]


def take(folder: Path, path: Path | None) -> None:
    """Make the folder hold this installation's packages, with what is under `path` in their place.

    That is `payload.py` or `workload.py` themselves, or folders `jobs`, `worker` and `api` with files that replace ours, or
    a whole checkout. Raises `CliError` where there is none of it.
    """
    if path is not None and path.resolve() == folder.resolve():
        raise CliError(f"{path} is where the copy of a release goes, which begins anew: name a folder elsewhere")
    shutil.rmtree(folder, ignore_errors=True)
    whole = [] if path is None else [name for name in PACKAGES if (path / name / "__init__.py").is_file()]
    for name in PACKAGES:
        if name not in whole:
            _copy(OURS / name, folder / name)
    if path is not None and not _lay_over(folder, path):
        raise CliError(f"{path} holds no release: no payload.py, no workload.py, and no folder jobs, worker or api")


def _lay_over(folder: Path, path: Path) -> bool:
    parts = [name for name in PACKAGES if (path / name).is_dir()]
    for name in parts:
        _copy(path / name, folder / name)
    files = [name for name in YOURS if (path / name).is_file()]
    for name in files:
        shutil.copy(path / name, folder / YOURS[name] / name)
    return bool(parts or files)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
