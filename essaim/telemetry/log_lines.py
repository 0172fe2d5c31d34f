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
    return value if isinstance(value, int | float) else encodable(str(value))


def encodable(text: str) -> str:
    """With half surrogate pairs, as file names and error messages may have them, escaped: UTF-8 has none."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def raised(record: logging.LogRecord) -> BaseException | None:
    """The exception that it is about."""
    return record.exc_info[1] if record.exc_info else None


def trouble(error: BaseException | None) -> dict[str, str]:
    """What went wrong, under OpenTelemetry's names."""
    if error is None:
        return {}
    return {
        "exception.type": type(error).__qualname__,
        "exception.message": encodable(str(error)),
        "exception.stacktrace": encodable("".join(traceback.format_exception(error))),
    }
