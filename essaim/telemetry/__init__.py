"""Log lines with fields, and spans: readable on a console; over OTLP too where an endpoint is set (`OTEL_*` variables).

Without an endpoint nothing of OpenTelemetry is loaded, and a span costs nothing.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

from essaim.telemetry.log_lines import Fields, Kind, sentence

if TYPE_CHECKING:  # start-up time
    from fastapi.telemetry import TelemetryConfig

    from essaim.telemetry.otlp import Otlp

logger = logging.getLogger("essaim")

ENDPOINTS = ("ENDPOINT", "TRACES_ENDPOINT", "LOGS_ENDPOINT", "METRICS_ENDPOINT")  # after OTEL_EXPORTER_OTLP_


class LogSettings(Protocol):
    """The settings that logging goes by."""

    @property
    def release(self) -> str: ...

    @property
    def log_level(self) -> str: ...

    @property
    def log_dir(self) -> str: ...

    @property
    def retention_seconds(self) -> float: ...


_exporting: "Otlp | None" = None
_bound: ContextVar[Fields] = ContextVar("essaim_fields", default=MappingProxyType({}))


def log(
    event: str,
    *,
    level: int = logging.INFO,
    error: BaseException | None = None,
    at: datetime | None = None,
    **fields: object,
) -> None:
    """Say that something happened, now or `at` a time before. Names and fields are those in `essaim.telemetry.log_events`."""
    logger.log(level, event, extra={"fields": fields, "at": at}, exc_info=error)


def since(moment: datetime) -> float:
    """Seconds from then to now, as log lines have them."""
    return round((datetime.now(UTC) - moment).total_seconds(), 3)


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Every line within, whoever logs it, has these fields too."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def span(
    name: str, *, kind: Kind = "internal", parent: str | None = None, link: str | None = None, **fields: object
) -> AbstractContextManager[None]:
    """Time what is within, as a child of `parent` (None: of the span around it) that also points to `link`.

    What is bound becomes its attributes. What raises through it is noted in it.
    """
    if _exporting is None:
        return nullcontext()
    return _exporting.span(name, kind, parent, link, {**_bound.get(), **fields})


def traceparent() -> str | None:
    """The span around as text (W3C), the parent of what others do because of it. None where nothing is exported."""
    return None if _exporting is None else _exporting.traceparent()


def http() -> "TelemetryConfig":
    """For FastAPI: a span for each request, in the trace that the client may have begun; or nothing at all."""
    if _exporting is not None:
        return _exporting.http()
    return {"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}


def configure(settings: LogSettings, service: Literal["api", "worker", "split"], instance: str) -> None:
    """Send log lines to standard error, from the level on that the settings name; also to files and over OTLP, if wanted."""
    global _exporting
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(ConsoleFormatter())
    if settings.log_dir:
        from essaim.telemetry.log_files import LogFiles

        who = {"release": settings.release, service: instance}
        handlers.append(LogFiles(Path(settings.log_dir), who, settings.retention_seconds))
    if _is_on():
        from essaim.telemetry.otlp import Otlp

        _exporting = Otlp(service, settings.release, instance)
        handlers.append(_exporting.handler)
    logging.basicConfig(level=settings.log_level, handlers=handlers, force=True)
    for handler in handlers:
        handler.addFilter(complete)
    _quieten()


def export(service: Literal["rollout"], release: str, instance: str) -> None:
    """Send log lines over OTLP, where an endpoint is set, and write none: for a command, which says what it does by itself."""
    global _exporting
    logger.propagate, logger.level = False, logging.INFO
    if _is_on():
        from essaim.telemetry.otlp import Otlp

        _exporting = Otlp(service, release, instance)
        logger.addHandler(_exporting.handler)
        _exporting.handler.addFilter(complete)
        _quieten()


def _quieten() -> None:
    for chatty in ("httpx", "httpcore", "urllib3", "aiormq", "aio_pika", "pymongo"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logger.getEffectiveLevel()))


def is_exporting() -> bool:
    """Whether somebody beyond this console sees what is logged."""
    return _exporting is not None


def close(seconds: float) -> None:
    """Send what has not been sent, for that long at most, and say how much was lost."""
    global _exporting
    exporting, _exporting = _exporting, None
    if exporting is not None and (lost := exporting.close(seconds)):
        log("telemetry.lost", level=logging.WARNING, count=lost)


class ConsoleFormatter(logging.Formatter):
    """`12:00:01.250 INFO  task.claimed  job=… task=0 attempt=1`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        line = f"{at} {record.levelname:<7} {sentence(record)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def complete(record: logging.LogRecord) -> bool:
    """A filter that lets all pass, complete: with what is bound where it is logged, and the time that was given."""
    if "essaim_bound" not in record.__dict__:  # it comes by once for each handler
        record.__dict__["essaim_bound"] = True
        record.__dict__["fields"] = {**_bound.get(), **getattr(record, "fields", {})}
        if (at := record.__dict__.get("at")) is not None:
            record.created = at.timestamp()
    return True


def _is_on() -> bool:
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not off and any(os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ENDPOINTS)
