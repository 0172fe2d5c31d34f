"""Log lines about a job from the local files that `essaim up` writes."""

import json
from datetime import datetime
from pathlib import Path

from essaim.cli.errors import CliError
from essaim.cli.logs.timeline import LogLine
from essaim.telemetry.log_files import day, files


class LogFolder:
    """Lines about the job and about workers as they are written; `since` None means all."""

    def __init__(self, folder: Path, job: str, since: datetime | None) -> None:
        self._folder = folder
        self._job = f'"{job}"'.encode()
        self._since = since
        self._read: dict[Path, int] = {}

    async def news(self) -> list[LogLine]:
        """The lines since the last call, in time order. Raises `CliError` if there are no log files."""
        found: list[LogLine] = []
        paths = files(self._folder)
        if not paths:
            raise CliError(
                f"no log lines in {self._folder}: `essaim up` writes them there; "
                "--data names another folder of its, --loki a Loki that has them"
            )
        for path in paths:
            if self._since is None or (day(path) or self._since.date()) >= self._since.date():
                found += self._news(path)
        return sorted(found, key=lambda line: line.at)

    def absence(self) -> str:
        """Why there may be no lines about the job."""
        kept = files(self._folder)
        return f"no line in {self._folder} is about it; they begin on {day(kept[0]) if kept else 'no day'}"

    def _news(self, path: Path) -> list[LogLine]:
        found = []
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            for text in file:
                if not text.endswith(b"\n"):  # it is being written
                    break
                self._read[path] = self._read.get(path, 0) + len(text)
                if self._job in text or b'"event": "worker.' in text:
                    found.append(_line(text))
        return [line for line in found if line is not None and (self._since is None or line.at >= self._since)]


def _line(text: bytes) -> LogLine | None:
    """None for a line that a crash of the machine left incomplete."""
    try:
        fields = json.loads(text)
        return LogLine(datetime.fromisoformat(fields["time"]), fields)
    except (ValueError, KeyError, TypeError):
        return None
