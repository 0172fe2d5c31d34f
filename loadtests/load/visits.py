"""What each visitor has seen, as lines of a file: written by the load generator, read by whoever counts afterwards."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

FILE = "visits.jsonl"


@dataclass(frozen=True, slots=True)
class Visit:
    """One visitor and the job it brings. Times are seconds since 1970; `accepted` is when 202 came, `fetched` the result.

    `state` is the last that it saw of the job, `problem` why it gave up. `done`: it has left. `release`: by which one the
    job was accepted.
    """

    number: int
    key: str
    text: str
    cancels: bool
    polls: bool
    submitted: float = 0.0
    accepted: float | None = None
    fetched: float | None = None
    id: str = ""
    state: str = ""
    problem: str = ""
    done: bool = False
    release: str = ""


class VisitLog:
    """Where visits are written: one line whenever something is new, so that a killed generator has told what it knew."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, visit: Visit, **news: Any) -> Visit:
        visit = replace(visit, **news)
        self._file.write(json.dumps(asdict(visit)) + "\n")
        self._file.flush()
        return visit


class Visits:
    """Follows the file as it grows. `by_number` has each visitor as it was last."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._read = 0
        self.by_number: dict[int, Visit] = {}

    def look(self) -> None:
        """Read what is new; a line that is still being written waits."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                visit = Visit(**json.loads(line))
                self.by_number[visit.number] = visit

    def count(self) -> tuple[int, int]:
        """How many jobs were accepted, and how many visitors have left."""
        visits = self.by_number.values()
        return sum(bool(visit.id) for visit in visits), sum(visit.done for visit in visits)
