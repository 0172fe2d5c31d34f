"""CPU and memory of each process during a recorded run, if the processes were on the recording machine."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from essaim.planning.recording import read_table, write_table

PROCESSES = "processes.csv"


@dataclass(frozen=True, slots=True)
class Footprint:
    """One process at one time. `role`: api, worker, supervisor or generator. `memory`: bytes resident.

    `cpu`: share of one core since the row before, 1 for a whole one.
    """

    seconds: float
    role: str
    pid: int
    memory: int
    cpu: float


def write(folder: Path, footprints: Iterable[Footprint]) -> None:
    write_table(folder / PROCESSES, Footprint, footprints)


def read(folder: Path) -> tuple[Footprint, ...]:
    """Empty if none were recorded."""
    path = folder / PROCESSES
    return read_table(path, Footprint) if path.exists() else ()
