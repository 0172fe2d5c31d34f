"""The timeline of one job from its log lines: which worker had it when, for how long, and how it ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from essaim.cli.output import printable
from essaim.telemetry.log_events import EVENTS
from essaim.units import duration, plural

ENDS = {"job.succeeded": "succeeded", "job.failed": "failed", "job.cancelled": "was cancelled"}
SPLIT = "job.announced"  # by an attempt that split the job and released its own claim
ATTEMPT_ENDS = frozenset({"task.finished", "task.failed", "task.rejected", "task.stopped", SPLIT})
GONE = frozenset({"worker.crashed", "worker.lost"})
OF_WORKERS = GONE | {"worker.draining"}
FIELDS = {name: fields for events in EVENTS.values() for name, (_, fields) in events.items()}
HEADING = f"{'time, UTC':<23} {'after':>8}  {'event':<16} {'task/attempt':<12}  by"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log line: its time and fields, with `event` among them if it is one of ours."""

    at: datetime
    fields: Mapping[str, object]

    @property
    def event(self) -> str:
        return str(self.fields.get("event") or self.fields.get("logger") or "")

    @property
    def attempt(self) -> tuple[int, int] | None:
        """The task's number and the attempt's."""
        if "task" not in self.fields or "attempt" not in self.fields:
            return None
        return int(str(self.fields["task"])), int(str(self.fields["attempt"]))

    @property
    def who(self) -> str:
        return next((str(self.fields[name]) for name in ("worker", "api", "supervisor") if name in self.fields), "")


@dataclass(frozen=True, slots=True)
class Entry:
    """A log line and its text; empty for a span, which repeats other lines."""

    line: LogLine
    text: str


@dataclass
class Timeline:
    """Takes log lines in time order and gives entries. `end` is how the job ended, empty until then."""

    end: str = ""
    begun: datetime | None = None
    last: datetime | None = None
    lost: int = 0
    attempts: set[tuple[tuple[int, int], datetime]] = field(default_factory=set)
    workers: set[str] = field(default_factory=set)
    _open: dict[tuple[int, int], LogLine] = field(default_factory=dict)
    _orphaned: set[tuple[int, int]] = field(default_factory=set)
    _split: set[tuple[int, int]] = field(default_factory=set)

    def entries(self, lines: Sequence[LogLine]) -> Iterator[Entry]:
        # The next attempt may be logged before this line.
        self._split |= {line.attempt for line in lines if line.event == SPLIT and line.attempt}
        for line in lines:
            if line.event == "span.ended":
                yield Entry(line, "")
            elif self._concerns(line):
                notes = list(self._take(line))
                yield Entry(line, self._row(line, notes))
                if line.event in GONE:  # its next process may reuse the name
                    self._orphaned.update(self._held(line.who))

    def summary(self) -> str:
        """The timeline in a sentence."""
        if not self.end or self.begun is None or self.last is None:
            return f"not ended yet; {self._counts()}"
        return f"{self.end} after {duration((self.last - self.begun).total_seconds())}; {self._counts()}"

    def _counts(self) -> str:
        tasks, workers = len({task for (task, _), _ in self.attempts}), len(self.workers)
        lost = f", {self.lost} of them lost" if self.lost else ""
        attempts = plural(sum(attempt not in self._split for attempt, _ in self.attempts), "attempt")
        return f"{plural(tasks, 'task')}, {attempts}{lost}, on {plural(workers, 'worker')}"

    def _concerns(self, line: LogLine) -> bool:
        """A worker's events count while it holds an attempt of this job."""
        return "job" in line.fields or (line.event in OF_WORKERS and bool(self._held(line.who)))

    def _held(self, worker: str) -> list[tuple[int, int]]:
        held = (attempt for attempt, claimed in self._open.items() if claimed.who == worker)
        return [attempt for attempt in held if attempt not in self._orphaned]

    def _take(self, line: LogLine) -> Iterator[str]:
        self.begun = self.begun or line.at
        if "job" in line.fields:
            self.last = line.at
        if line.event == "job.retried":
            self.end = ""
        self.end = ENDS.get(line.event, self.end)
        if (attempt := line.attempt) is None:
            return
        if line.event == "task.claimed":
            yield from self._claim(attempt, line)
        elif line.event in (ATTEMPT_ENDS | ENDS.keys()) and (claimed := self._open.pop(attempt, None)):
            yield f"after {duration((line.at - claimed.at).total_seconds())}"

    def _claim(self, attempt: tuple[int, int], line: LogLine) -> Iterator[str]:
        self.attempts.add((attempt, line.at))  # numbers restart if the job starts over
        self.workers.add(line.who)
        for before in sorted(other for other in self._open if other[0] == attempt[0]):
            held = duration((line.at - self._open.pop(before).at).total_seconds())
            if before not in self._split:
                self.lost += 1
                yield f"attempt {before[1]}, claimed {held} before, was lost"
        self._open[attempt] = line

    def _row(self, line: LogLine, notes: list[str]) -> str:
        after = (line.at - (self.begun or line.at)).total_seconds()
        which = line.attempt or next(iter(self._held(line.who) if line.event in OF_WORKERS else ()), None)
        attempt = f"{which[0]}/{which[1]}" if which else ""
        head = f"{line.at:%Y-%m-%d %H:%M:%S}.{line.at.microsecond // 1000:03} {after:>7.2f}s  {line.event:<16} "
        return (head + f"{attempt:<12}  {printable(line.who):<16}  {'  '.join([*notes, *_details(line)])}").rstrip()


def _details(line: LogLine) -> Iterator[str]:
    """The fields of the event that its table names; Loki adds many more."""
    if "exception_type" in line.fields:
        yield printable(f"{line.fields['exception_type']}: {line.fields.get('exception_message', '')}")
    for name in FIELDS.get(line.event, ("message",)):
        if name in line.fields and name not in ("job", "worker"):
            yield printable(f"{name}={line.fields[name]}" if line.event in FIELDS else str(line.fields[name]))
