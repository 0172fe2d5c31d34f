"""Real processes for tests: API and workers with a workload made for tests, started, watched, and never left behind."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from essaim.jobs.backends import Backends, open_backends
from essaim.jobs.settings import Settings, load_settings
from tests.workloads.journal.payload import Request

ROOT = Path(__file__).parents[1]
WORKLOADS = ROOT / "tests" / "workloads"
DEADLINE = 60.0  # seconds until a condition that never comes fails its test; no claim about speed


@dataclass
class House:
    """A folder with data of its own, and the processes that work on it."""

    folder: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        values = {name.removeprefix("ESSAIM_").lower(): value for name, value in self.environment.items()}
        return load_settings(**values)

    @asynccontextmanager
    async def backends(self) -> AsyncIterator[Backends]:
        async with open_backends(self.settings) as backends:
            yield backends

    def start(self, module: str = "worker", **environment: str) -> subprocess.Popen[bytes]:
        """Start `python -m essaim_<module>`; its log goes to `<module>-<n>.log`."""
        log = (self.folder / f"{module}-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", f"essaim_{module}"],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **self.environment, **environment},
            stdout=log,
            stderr=log,
        )
        log.close()
        self.processes.append(process)
        return process

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))

    def kill_all(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


class BuildHouse(Protocol):
    def __call__(self, workload: str | None, **settings: object) -> House:
        """`workload` is one of `tests/workloads`, by name, or None for the word search."""


@pytest.fixture
def build_house(tmp_path: Path) -> Iterator[BuildHouse]:
    houses: list[House] = []

    def build(workload: str | None, **settings: object) -> House:
        folder = tmp_path / f"house-{len(houses)}"
        folder.mkdir()
        if workload is not None:
            settings["workload"] = workload
        brisk = {"lease_seconds": 2, "beat_seconds": 0.25, "retry_seconds": 0.1}
        values = {"data_dir": folder / "data", **brisk, **settings}
        environment = {f"ESSAIM_{name.upper()}": str(value) for name, value in values.items()}
        house = House(folder, {"PYTHONPATH": str(WORKLOADS), **environment})
        houses.append(house)
        return house

    yield build
    for house in houses:
        house.kill_all()


@pytest.fixture
def journal_house(build_house: BuildHouse) -> House:
    return build_house("journal")


async def eventually(condition: Callable[[], Awaitable[Any] | Any], *, deadline: float = DEADLINE) -> Any:
    """The first true value of the condition; an assertion error when the deadline passes without one."""
    async with asyncio.timeout(deadline):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def journal_request() -> type[Any]:
    """The request model of the journal workload."""
    return Request


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have measured, with `record_property("measured", ...)`, in one place at the end."""
    reports = [report for key in ("passed", "failed") for report in terminalreporter.getreports(key)]
    measured = [value for report in reports for name, value in report.user_properties if name == "measured"]
    if measured:
        terminalreporter.section("measured")
        terminalreporter.write("".join(f"{line}\n" for line in measured))
