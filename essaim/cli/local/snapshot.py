"""A copy of a release's code, made at its start: later edits do not affect it."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from essaim.cli.errors import CliError

# The packages that the processes of a release import beside the workload, and where they are in a checkout.
PACKAGES = {"essaim": "essaim", "essaim_api": "api/essaim_api", "essaim_worker": "worker/essaim_worker"}
MODULES = ("payload.py", "workload.py")  # of the workload


def take(folder: Path, path: Path | None, workload: str) -> None:
    """Fill the folder with this installation's packages and workload, replaced by what `path` holds.

    `path` holds `payload.py` or `workload.py` of the workload, or packages as in a checkout with files that replace ours, or a
    whole checkout. Raises `CliError` if it holds none of these.
    """
    if path is not None and path.resolve() == folder.resolve():
        raise CliError(f"{path} is the folder for the copy of the release: name another one")
    shutil.rmtree(folder, ignore_errors=True)
    replaced = False
    for name, place in {**PACKAGES, workload: f"workloads/*/{workload.replace('.', '/')}"}.items():
        package = folder.joinpath(*name.split("."))
        given = next((found for found in path.glob(place) if found.is_dir()), None) if path else None
        if given is None or not (given / "__init__.py").is_file():
            _copy(_installed(name), package)
        if given is not None:
            _copy(given, package)
            replaced = True
    for name in MODULES:
        if path is not None and (path / name).is_file():
            shutil.copy(path / name, package / name)
            replaced = True
    if path is not None and not replaced:
        places = ", ".join(PACKAGES.values())
        raise CliError(f"{path} holds no release: no payload.py, no workload.py, and no folder {places}")


def _installed(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise CliError(f"there is no package {package}")
    return Path(spec.origin).parent


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
