"""The architecture, as claims."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("essaim", "api", "worker")


def test_imports_point_one_way() -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert linted.returncode == 0, linted.stdout


def test_platform_holds_no_python() -> None:
    """It would shadow the standard library's `platform`."""
    assert not list((ROOT / "platform").rglob("*.py"))


def test_importing_reads_no_environment() -> None:
    """Settings that would be refused do no harm until a process builds them."""
    code = "import essaim_api.app, essaim_worker.consumer, essaim.jobs.settings, essaim.supervisor.supervisor, essaim.cli.main"
    environment = {"PATH": "", "ESSAIM_RELEASE": "NOT VALID", "ESSAIM_LEASE_SECONDS": "no number"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def test_the_workload_knows_its_attempt_and_nothing_else_of_the_worker() -> None:
    adapters = "name for name in sys.modules if name.startswith('essaim.jobs.adapters')"
    code = f"import essaim_words.workload, sys; print(*({adapters}))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""


def test_a_cancellation_is_never_swallowed_by_wait_for() -> None:
    """Until Python 3.12 it does so, where what it waits for comes in the same moment: a worker then never leaves.

    `asyncio.timeout` does not.
    """
    modules = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert not [str(path.relative_to(ROOT)) for path in modules if "asyncio.wait_for(" in path.read_text()]
