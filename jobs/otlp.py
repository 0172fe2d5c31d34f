"""Spans, log lines and counters over OTLP, by OpenTelemetry's SDK and its `OTEL_*` variables. Loaded with an endpoint only.

Queues are bounded and sent from threads of their own: a collector that is slow or dead costs records, never time.
Its exporters are loaded there too, with the first batch: they would be a third of a worker's start.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobs.exporters import Signals
from jobs.log_lines import Fields, Kind, plain, sentence

if TYPE_CHECKING:  # start-up time
    from fastapi.telemetry import TelemetryConfig

KINDS = {"internal": SpanKind.INTERNAL, "producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER}
W3C = TraceContextTextMapPropagator()
QUIET = ("/livez", "/readyz", "/events")  # probes, and streams that are minutes long


class Otlp:
    """One process's telemetry. `handler` goes to the root logger."""

    def __init__(self, service: str, release: str, instance: str) -> None:
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME") or f"essaim-{service}",
                "service.namespace": "essaim",
                "service.version": release,
                "service.instance.id": instance,
            }
        )
        self._signals = Signals(resource)
        self._spans = TracerProvider(resource=resource)  # sampled as OTEL_TRACES_SAMPLER says; default: as the parent
        self._spans.add_span_processor(EndedSpans(self._signals.logs))
        if self._signals.spans is not None:
            self._spans.add_span_processor(self._signals.spans)
        self._tracer = self._spans.get_tracer("essaim")
        self.handler = OtlpHandler(self._signals, {"release": release, service: instance})

    @contextmanager
    def span(self, name: str, kind: Kind, parent: str | None, link: str | None, fields: Fields) -> Iterator[None]:
        context = W3C.extract({"traceparent": parent}) if parent else None
        links = [Link(_context(link))] if link else []
        attributes = {key: plain(value) for key, value in fields.items()}
        with self._tracer.start_as_current_span(name, context, KINDS[kind], attributes, links):
            yield

    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        W3C.inject(carrier)
        return carrier.get("traceparent")

    def http(self) -> "TelemetryConfig":
        """Requests alone: what FastAPI logs of a request that does not fit has its content in it."""
        return {
            "tracer_provider": self._spans,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
            "exclude": lambda scope: str(scope["path"]).endswith(QUIET),
        }

    def close(self, seconds: float) -> int:
        """How many records were not delivered by then."""
        closing = threading.Thread(target=self._shutdown, daemon=True)
        closing.start()
        closing.join(seconds)
        return self._signals.lost()

    def _shutdown(self) -> None:
        self._spans.shutdown()  # first: ended spans are log records too
        self._signals.shutdown()


class OtlpHandler(logging.Handler):
    """Log lines as OTLP records: the sentence as body, the event's name, and each field as an attribute."""

    def __init__(self, signals: Signals, fields: Fields) -> None:
        super().__init__()
        self._signals = signals
        self._logger = signals.logs.get_logger("essaim")
        self._fields = {name: plain(value) for name, value in fields.items()}

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("opentelemetry"):  # what it says of its own troubles would never end
            return
        fields: Fields = getattr(record, "fields", {})
        attributes = {**self._fields, **{name: plain(value) for name, value in fields.items()}}
        if record.name == "essaim":
            attributes["event"] = record.msg
            self._signals.count(record.msg, fields)
        else:
            attributes["logger"] = record.name
        error = record.exc_info[1] if record.exc_info else None
        self._logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                severity_text=record.levelname,
                severity_number=_severity(record.levelno),
                body=sentence(record),
                attributes=attributes,
                event_name=record.msg if record.name == "essaim" else None,
                exception=error,
            )
        )


class EndedSpans(SpanProcessor):
    """Each span that ends is a log record too, so that Loki alone shows a trace."""

    def __init__(self, logs: LoggerProvider) -> None:
        self._logger = logs.get_logger("essaim.spans")

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is None or span.start_time is None or span.end_time is None:
            return
        seconds = (span.end_time - span.start_time) / 1e9
        attributes = {
            **(span.attributes or {}),
            "event": "span.ended",
            "span": span.name,
            "kind": span.kind.name.lower(),
            "seconds": round(seconds, 6),
            "status": span.status.status_code.name.lower(),
            "parent": f"{span.parent.span_id:016x}" if span.parent else "",
            "links": " ".join(f"{link.context.trace_id:032x}/{link.context.span_id:016x}" for link in span.links),
        }
        self._logger.emit(
            LogRecord(
                timestamp=span.end_time,
                context=trace.set_span_in_context(trace.NonRecordingSpan(context)),
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=f"span.ended {span.name} {seconds * 1000:.1f} ms",
                attributes=attributes,
                event_name="span.ended",
            )
        )


def _context(traceparent: str) -> trace.SpanContext:
    return trace.get_current_span(W3C.extract({"traceparent": traceparent})).get_span_context()


def _severity(level: int) -> SeverityNumber:
    for least, severity in (
        (logging.ERROR, SeverityNumber.ERROR),
        (logging.WARNING, SeverityNumber.WARN),
        (logging.INFO, SeverityNumber.INFO),
    ):
        if level >= least:
            return severity
    return SeverityNumber.DEBUG
