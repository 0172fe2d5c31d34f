"""A recorded run: a folder with its parameters, samples of queue and workers about once a second, and every job.

`run.json` is a `Run`, `samples.csv` has a row for each `Moment`, `jobs.csv` one for each `JobTimes`. All times are seconds
since the start of the run. An empty cell is None, and a column with a default may be absent.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from essaim.planning.errors import RecordingError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RUN, SAMPLES, JOBS = "run.json", "samples.csv", "jobs.csv"
T = TypeVar("T")


class Run(BaseModel):
    """The parameters of a run. `scaledobject` is the whole manifest, so that the run can be simulated.

    `speed`: of the autoscaler's clock. `generator_cpu`: share of one core that the load generator used. `faults`: what went
    wrong with jobs, in sentences. `gaps`: times without answers about queue and workers, in which moments repeat the last
    known numbers. `releases`: all that answered; each moment is about one of them. Recorders may add fields.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    shape: str
    server: str
    started: datetime
    scaledobject: dict[str, Any]
    users: int | None = None
    speed: float = 1.0
    concurrency: int = 1
    generator_cpu: float | None = None
    faults: tuple[str, ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()
    releases: tuple[str, ...] = ()
    versions: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Moment:
    """The queue, and the workers that are alive and busy; in a cluster also replicas and the HPA's desired number."""

    seconds: float
    ready: int
    in_flight: int
    workers: int
    busy: int
    replicas_desired: int | None = None
    replicas_ready: int | None = None
    hpa_desired: int | None = None


@dataclass(frozen=True, slots=True)
class JobTimes:
    """One job. `accepted`: when its 202 arrived. `work`: the total seconds of its tasks; None if unknown."""

    id: str
    submitted: float
    accepted: float | None
    started: float | None
    ended: float | None
    state: str
    tasks: int | None
    work: float | None = None

    @property
    def time_to_result(self) -> float | None:
        """From submission to the end of a job that succeeded."""
        return self.ended - self.submitted if self.state == "succeeded" and self.ended is not None else None


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recorded run, with moments and jobs in time order."""

    run: Run
    moments: tuple[Moment, ...]
    jobs: tuple[JobTimes, ...]


def write(folder: Path, recording: Recording) -> None:
    """Create the folder, or replace the recording in it."""
    moments = sorted(recording.moments, key=lambda moment: moment.seconds)
    jobs = sorted(recording.jobs, key=lambda job: job.submitted)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(recording.run.model_dump(mode="json"), indent=2) + "\n"
    (folder / RUN).write_text(text, encoding="utf-8")
    write_table(folder / SAMPLES, Moment, moments)
    write_table(folder / JOBS, JobTimes, jobs)


def read(folder: Path) -> Recording:
    """Read a recording. Raises `RecordingError` for a folder that is not one."""
    try:
        run = Run.model_validate_json((folder / RUN).read_bytes())
        moments, jobs = read_table(folder / SAMPLES, Moment), read_table(folder / JOBS, JobTimes)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise RecordingError(f"{folder} is not a recorded run: {error.title}, {where}: {fault['msg']}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{folder} is not a recorded run: {error}") from error
    return Recording(run, moments, jobs)


def write_table(path: Path, kind: "type[DataclassInstance]", rows: "Iterable[DataclassInstance]") -> None:
    """Write a CSV file with a column for each field."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [column.name for column in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in asdict(row).items()} for row in rows)


def _cell(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value  # csv writes None as an empty cell


def read_table(path: Path, kind: type[T]) -> tuple[T, ...]:
    """Read a file of `write_table`. Raises pydantic's errors for invalid cells."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{name: cell or None for name, cell in row.items()} for row in csv.DictReader(file)]
    return TypeAdapter(tuple[kind, ...]).validate_python(rows)  # type: ignore[valid-type]


def work_of(spans: Sequence[tuple[float, float]]) -> float:
    """The work of a job, from the start and end of each task in order.

    The first of several tasks is estimated from the others: it starts with the split, and may have waited again after that.
    """
    counted = spans[1:] or spans
    return sum(ended - started for started, ended in counted) / len(counted) * len(spans) if counted else 0.0
