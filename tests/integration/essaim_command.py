"""The real command for tests: run to its end, or kept running, and the processes that belong to a folder."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "essaim.cli")
DEADLINE = 120.0  # seconds until something that never comes fails its test; no claim about speed


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """Ours without what it says about Essaim; the packages are found from anywhere."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ESSAIM_")}
    return {**clean, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **more}


def essaim(*arguments: str, stdin: str = "", cwd: Path | None = None, **env: str) -> Said:
    """Run it to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin.encode(),
        capture_output=True,
        env=environment(**env),
        cwd=cwd,
        timeout=DEADLINE,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def running(*arguments: str, cwd: Path | None = None, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Keep it running in a session of its own; killed in the end, if it is still there."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
        cwd=cwd,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@contextmanager
def house(folder: Path, *arguments: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`essaim up` on a free port with its data in the folder, and its URL."""
    with running("up", "--port", "0", "--data", str(folder), "--speed", "20", *arguments, **env) as process:
        yield process, address(process)


def address(process: subprocess.Popen[str]) -> str:
    """Where `essaim up` says that it answers."""
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("Essaim answers at "), line
    return line.split()[3].rstrip(";")


def processes(folder: Path) -> set[int]:
    """The API and worker processes whose data is in the folder or under it, as Linux tells it."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # gone meanwhile, or somebody else's
            continue
        if any(variable.startswith(f"ESSAIM_DATA_DIR={folder}".encode()) for variable in variables):
            found.add(int(entry.name))
    return found


def wait_until(condition: object, what: str) -> None:
    """Return once `condition()` is true."""
    assert callable(condition)
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)
