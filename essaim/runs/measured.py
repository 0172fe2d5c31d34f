"""A recorded run with all other measurements and its key figures."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from essaim.planning import recording
from essaim.planning.errors import RecordingError
from essaim.planning.recording import Recording
from essaim.runs import footprint
from essaim.runs.figures import Figures, Memory, figures_of, memory_of, warnings_of
from essaim.runs.footprint import Footprint
from essaim.runs.traffic import PREFIX, Failure, Traffic, read_failures, read_traffic


@dataclass(frozen=True)
class Measured:
    """`name` is that of the folder. `footprints`, `traffic` and `failures` are empty if not recorded."""

    name: str
    recording: Recording
    footprints: tuple[Footprint, ...]
    traffic: list[Traffic]
    failures: list[Failure]

    @cached_property
    def figures(self) -> Figures:
        return figures_of(self.recording)

    @cached_property
    def memory(self) -> list[Memory]:
        """The memory of processes while there were jobs."""
        jobs = self.recording.jobs
        ends = [job.ended for job in jobs if job.ended is not None]
        return memory_of(self.footprints, jobs[0].submitted, max(ends)) if ends else []

    @cached_property
    def warnings(self) -> list[str]:
        return warnings_of(self.recording, self.footprints, self.traffic)


def read_measured(folder: Path) -> Measured:
    """Raises `RecordingError` for a folder that is not a recorded run, or has a damaged table."""
    recorded = recording.read(folder)
    try:
        beside = footprint.read(folder), read_traffic(folder), read_failures(folder)
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        tables = f"{footprint.PROCESSES} or {PREFIX}_*.csv"
        raise RecordingError(f"{folder}: {tables} is damaged; delete that file to read the rest of the run") from error
    return Measured(folder.resolve().name, recorded, *beside)
