"""The locks: what runs is a part of what tests need, and every package installs without a compiler."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import absent

ROOT = Path(__file__).parents[2]
RUNNING, DEVELOPING = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin", "x86_64-apple-darwin")
TOOLS = ("locust", "mypy", "playwright", "pytest", "ruff", "scipy")


def pins(lock: Path) -> set[str]:
    return set(re.findall(r"^[a-z0-9][^ =]*==[^ ]+", lock.read_text(), re.MULTILINE))


def uv() -> str:
    installed = Path(sys.executable).with_name("uv")
    return shutil.which("uv") or (str(installed) if installed.exists() else absent("no uv to read the locks with"))


def installed(lock: Path, platform: str, python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What would be installed from the lock there, by the index; nothing is."""
    where = ("--python-platform", platform, "--python-version", python, "--target", str(folder))
    wheels = ("--require-hashes", "--only-binary", ":all:")
    command = (uv(), "pip", "install", "--dry-run", *where, *wheels, "-r", str(lock))
    return subprocess.run(command, capture_output=True, text=True)


def test_what_runs_is_in_the_same_version_where_tests_run() -> None:
    assert pins(RUNNING) < pins(DEVELOPING)


def test_what_only_tests_need_is_not_installed_to_run() -> None:
    names = {pin.partition("==")[0] for pin in pins(RUNNING)}
    assert names.isdisjoint(TOOLS)
    assert {pin.partition("==")[0] for pin in pins(DEVELOPING)}.issuperset(TOOLS)


def test_locks_name_no_index() -> None:
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", RUNNING.read_text() + DEVELOPING.read_text())


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lock", [RUNNING, DEVELOPING], ids=["running", "developing"])
def test_every_package_has_a_wheel(lock: Path, platform: str, python: str, tmp_path: Path) -> None:
    if lock == DEVELOPING and "apple" in platform and python == "3.11":
        pytest.skip("gevent, which locust needs, has no wheel for macOS with Python 3.11")
    found = installed(lock, platform, python, tmp_path)
    if found.returncode and "error sending request" in found.stderr.lower():
        absent("the package index")
    assert found.returncode == 0, found.stderr


def test_a_package_without_a_wheel_would_be_found(tmp_path: Path) -> None:
    """ripgrep 15.1 has none for Linux with glibc before 2.39."""
    lock = tmp_path / "lock"
    lock.write_text("ripgrep==15.1.0\n")
    command = (uv(), "pip", "install", "--dry-run", "--target", str(tmp_path / "there"), "--only-binary", ":all:")
    found = subprocess.run(
        [*command, "--python-platform", PLATFORMS[0], "-r", str(lock)], capture_output=True, text=True
    )
    if "error sending request" in found.stderr.lower():
        absent("the package index")
    assert found.returncode
    assert "ripgrep" in found.stderr
