"""A log record as a line: the name of its event, then its fields."""

import logging
import traceback
from collections.abc import Mapping
from typing import Literal

Fields = Mapping[str, object]
Kind = Literal["internal", "producer", "consumer"]


def sentence(record: logging.LogRecord) -> str:
    """The event and its fields in a line."""
    fields: Fields = getattr(record, "fields", {})
    return record.getMessage() + "".join(f" {name}={value}" for name, value in fields.items())


def plain(value: object) -> str | int | float | bool:
    """What a field's value is outside of this process."""
    return value if isinstance(value, str | int | float | bool) else str(value)


def trouble(record: logging.LogRecord) -> dict[str, str]:
    """The exception that it is about, if there is one, under OpenTelemetry's names."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return {}
    return {
        "exception.type": type(error).__qualname__,
        "exception.message": str(error),
        "exception.stacktrace": "".join(traceback.format_exception(error)),
    }
