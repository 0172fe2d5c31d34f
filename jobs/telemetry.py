"""Log lines with fields: an event name, then what it is about. Readable on a console, exact for machines."""

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # start-up time
    from jobs.settings import Settings

logger = logging.getLogger("essaim")


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Say that something happened. Names are past facts in dots: `task.claimed`, `worker.draining`."""
    logger.log(level, event, extra={"fields": fields}, exc_info=error)


class ConsoleFormatter(logging.Formatter):
    """`12:00:01.250 INFO  task.claimed  job=… task=0 attempt=1`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = getattr(record, "fields", {})
        line = f"{at} {record.levelname:<7} {record.getMessage()}"
        line += "".join(f" {name}={value}" for name, value in fields.items())
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(settings: "Settings") -> None:
    """Send log lines to standard error, from the level on that the settings name."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ConsoleFormatter())
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
