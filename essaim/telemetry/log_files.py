"""Log lines in files that a program can read: a JSON object a line, a file a day, kept as long as jobs are."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from essaim.telemetry.log_lines import Fields, plain, raised, trouble

SUFFIX = ".jsonl"


def files(folder: Path) -> list[Path]:
    """Those in the folder, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if day(path))


def day(path: Path) -> date | None:
    """Whose lines it has, by UTC; None for a file of another kind."""
    try:
        return date.fromisoformat(path.name.removesuffix(SUFFIX))
    except ValueError:
        return None


class LogFiles(logging.Handler):
    """Appends to the file of the day in the folder, and deletes files that are older than `keep_seconds`.

    Processes share a folder: each line is one write to a file opened for appending. `fields` are in each: who says it.
    While nothing can be written it says so once, and lines are on the console only.
    """

    def __init__(self, folder: Path, fields: Fields, keep_seconds: float) -> None:
        super().__init__()
        self._folder = folder
        self._fields = fields
        self._keep = timedelta(seconds=keep_seconds)
        self._day: date | None = None
        self._file = -1
        self._failing = False
        self._torn = b""  # what ends the last line, of which a full disk took only a part

    def emit(self, record: logging.LogRecord) -> None:
        try:
            at = datetime.fromtimestamp(record.created, UTC)
            if at.date() != self._day:
                self._turn(at.date())
            line = {"time": at.isoformat(timespec="microseconds"), "level": record.levelname}
            fields = {**line, **dict(_message_fields(record)), **self._fields, **getattr(record, "fields", {})}
            text = json.dumps({name: plain(value) for name, value in fields.items()})
            data = self._torn + text.encode() + b"\n"
            self._torn = b"" if os.write(self._file, data) == len(data) else b"\n"
            self._failing = False
        except OSError as error:
            self._complain(error)
        except Exception:  # a library's line whose arguments do not fit: no reason for whoever logs it to fail
            self.handleError(record)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file, self._day = -1, None
        super().close()

    def _complain(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            with suppress(OSError):  # the console may be on the same disk
                sys.stderr.write(f"no log lines go to {self._folder}: {error}\n")

    def _turn(self, today: date) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self._folder / f"{today}{SUFFIX}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._day = file, today
        for path in files(self._folder):
            if (day(path) or today) < today - self._keep:
                path.unlink(missing_ok=True)


def _message_fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    """Names are as Loki has them."""
    if record.name == "essaim":
        yield "event", record.msg
    else:
        yield from {"logger": record.name, "message": record.getMessage()}.items()
    yield from ((name.replace(".", "_"), value) for name, value in trouble(raised(record)).items())
