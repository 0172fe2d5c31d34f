"""What is installed: the wheels, and the light core without the extra `server`."""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers import absent
from tests.unit.test_locks import RUNNING, uv

MOST_BYTES = 15_000_000


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of this project and of the word search, by distribution name."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "workloads" / "words"):
        build = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
        subprocess.run(build, cwd=project, check=True, capture_output=True)
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def core(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment into which only `pip install essaim` was done, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("core")
    _uv("venv", "--python", sys.executable, folder)
    constraint = ("--constraint", folder / "pins")
    (folder / "pins").write_text("\n".join(line.split(" ")[0] for line in _pins()))
    _uv("pip", "install", "--python", folder, "--only-binary", ":all:", *constraint, wheels["essaim"])
    return folder / "bin" / "python"


def _pins() -> Sequence[str]:
    return [line for line in RUNNING.read_text().splitlines() if "==" in line and not line.startswith(" ")]


def _uv(*arguments: str | Path) -> None:
    done = subprocess.run([uv(), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode and "error sending request" in done.stderr.lower():
        absent("the package index")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("distribution", "packages"),
    [("essaim", {"essaim", "essaim_api", "essaim_worker"}), ("essaim_words", {"essaim_words"})],
)
def test_a_wheel_owns_only_names_that_begin_with_essaim(
    wheels: dict[str, Path], distribution: str, packages: set[str]
) -> None:
    names = zipfile.ZipFile(wheels[distribution]).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == packages
    assert {f"{package}/py.typed" for package in packages} <= set(names)


def test_every_file_that_runs_is_in_the_wheel(wheels: dict[str, Path]) -> None:
    names = set(zipfile.ZipFile(wheels["essaim"]).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "essaim", "api", "worker"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {path.removeprefix("api/").removeprefix("worker/") for path in tracked} <= names
    assert "essaim/autoscaler/scaledobject.yaml" in names


def test_the_core_is_light(core: Path, record_property: Callable[[str, object], None]) -> None:
    packages = core.parents[1] / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc")
    timed = "import time; start = time.perf_counter(); import essaim; print(time.perf_counter() - start)"
    seconds = min(
        float(subprocess.run([core, "-c", timed], capture_output=True, text=True, check=True).stdout) for _ in range(3)
    )
    record_property("measured", f"pip install essaim: {size / 1e6:.1f} MB; import essaim: {seconds * 1000:.0f} ms")
    assert size < MOST_BYTES


def test_the_command_of_the_core_says_what_it_needs(core: Path) -> None:
    said = subprocess.run([core.with_name("essaim"), "up"], capture_output=True, text=True)
    assert said.returncode == 1
    assert said.stderr == "essaim: the command needs typer, which comes with: pip install 'essaim[server]'\n"
