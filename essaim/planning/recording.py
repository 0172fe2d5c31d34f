"""A run as it was recorded: a folder with what was run, how the house looked about once a second, and every job.

`run.json` is a `Run`, `samples.csv` has a row for each `Moment`, `jobs.csv` one for each `JobTimes`. All times are seconds
since the run began. An empty cell is None, and a column with a default may be absent.
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
    """What was run. `scaledobject` is the whole manifest, so that a run can be told again by the rules that it had.

    `speed`: simulated seconds per real second in the autoscaler. `generator_cpu`: share of one core that the load
    generator took. `faults`: jobs that are not as they must be, in sentences. `gaps`: from when to when nothing
    was heard of queue and workers, so that the moments in between tell what was last known. `releases`: which have answered;
    of several, each moment tells of one. Whoever records may add fields.
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
    """The queue, the workers that are alive and those that run something; in a cluster also replicas and the HPA's wish."""

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
    """One job. `accepted` is when 202 came. `work`: seconds that all its tasks took together; None: not known."""

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
        """From submission to the end of one that succeeded."""
        return self.ended - self.submitted if self.state == "succeeded" and self.ended is not None else None


@dataclass(frozen=True, slots=True)
class Recording:
    """All of it, moments and jobs in the order of time."""

    run: Run
    moments: tuple[Moment, ...]
    jobs: tuple[JobTimes, ...]


def write(folder: Path, recording: Recording) -> None:
    """Make the folder, or take the place of what is recorded there."""
    moments = sorted(recording.moments, key=lambda moment: moment.seconds)
    jobs = sorted(recording.jobs, key=lambda job: job.submitted)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(recording.run.model_dump(mode="json"), indent=2) + "\n"
    (folder / RUN).write_text(text, encoding="utf-8")
    write_table(folder / SAMPLES, Moment, moments)
    write_table(folder / JOBS, JobTimes, jobs)


def read(folder: Path) -> Recording:
    """What `write` wrote. Raises `RecordingError` for a folder that holds no such thing."""
    try:
        run = Run.model_validate_json((folder / RUN).read_bytes())
        moments, jobs = read_table(folder / SAMPLES, Moment), read_table(folder / JOBS, JobTimes)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise RecordingError(f"{folder} is no recorded run: {error.title}, {where}: {fault['msg']}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{folder} is no recorded run: {error}") from error
    return Recording(run, moments, jobs)


def write_table(path: Path, kind: "type[DataclassInstance]", rows: "Iterable[DataclassInstance]") -> None:
    """A CSV file with a column for each field."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [column.name for column in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in asdict(row).items()} for row in rows)


def _cell(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value  # csv writes None as an empty cell


def read_table(path: Path, kind: type[T]) -> tuple[T, ...]:
    """What `write_table` wrote. Raises as pydantic does for what does not fit."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{name: cell or None for name, cell in row.items()} for row in csv.DictReader(file)]
    return TypeAdapter(tuple[kind, ...]).validate_python(rows)  # type: ignore[valid-type]


def work_of(spans: Sequence[tuple[float, float]]) -> float:
    """Of a job whose tasks, in the order of their numbers, began and ended then.

    The first task of several is not looked at: its beginning is that of the split, and it may have waited again after that.
    """
    counted = spans[1:] or spans
    return sum(ended - started for started, ended in counted) / len(counted) * len(spans) if counted else 0.0
