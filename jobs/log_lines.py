"""A log record as a line: the name of its event, then its fields."""

import logging
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
