"""Requests by kind, from the CSV files that locust writes beside a recorded run."""

import csv
from dataclasses import dataclass
from pathlib import Path

PREFIX = "requests"


@dataclass(frozen=True, slots=True)
class Traffic:
    """One kind of request; without a `method`, of time. Times in seconds, as locust rounds them."""

    method: str
    name: str
    count: int
    failures: int
    p50: float
    p95: float
    p99: float
    max: float

    def __str__(self) -> str:
        return f"{self.method} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Failure:
    """An error and its count."""

    name: str
    error: str
    count: int


def read_traffic(folder: Path) -> list[Traffic]:
    return [
        Traffic(
            row["Type"],
            row["Name"],
            int(row["Request Count"]),
            int(row["Failure Count"]),
            *(_seconds(row[column]) for column in ("50%", "95%", "99%", "100%")),
        )
        for row in _rows(folder, "stats")
        if row["Name"] != "Aggregated"  # of requests and other times together, which says nothing
    ]


def read_failures(folder: Path) -> list[Failure]:
    return [
        Failure(f"{row['Method']} {row['Name']}".strip(), row["Error"], int(row["Occurrences"]))
        for row in _rows(folder, "failures")
    ]


def _rows(folder: Path, kind: str) -> list[dict[str, str]]:
    path = folder / f"{PREFIX}_{kind}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _seconds(milliseconds: str) -> float:
    return float(milliseconds) / 1000 if milliseconds not in ("", "N/A") else 0.0
