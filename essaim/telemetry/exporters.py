"""Which signals leave over OTLP, and by which protocol; what was handed over and what arrived is counted."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl

from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from essaim.telemetry.ended_spans import ended
from essaim.telemetry.endpoints import is_wanted, protocol
from essaim.telemetry.log_lines import Fields

LINES, SPANS = InstrumentationScope("essaim"), InstrumentationScope("essaim.spans")

MODULES = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
}


def exporter(signal: str) -> Any:
    """The SDK's own."""
    package = "grpc" if protocol(signal) == "grpc" else "http"
    module, name = MODULES[signal]
    return getattr(import_module(f"opentelemetry.exporter.otlp.proto.{package}.{module}"), name)()


class _Later:
    """An exporter that is loaded with its first batch, in a thread that sends. Without an endpoint it takes nothing."""

    def __init__(self, signal: str) -> None:
        self._signal = signal
        self._exporter: Any = None
        self._loading = Lock()
        self.wanted = is_wanted(signal)
        self.taken = 0
        self.delivered = 0

    def take(self) -> None:
        """One more is going to be sent."""
        self.taken += self.wanted

    def send(self, batch: Sequence[Any]) -> None:
        if self.wanted:
            self.delivered += len(batch) if self.loaded().export(batch).name == "SUCCESS" else 0

    def loaded(self) -> Any:
        with self._loading:
            if self._exporter is None:
                self._exporter = exporter(self._signal)
            return self._exporter

    def stop(self) -> None:
        if self._exporter is not None:
            self._exporter.shutdown()


class _SpanExporter(SpanExporter):
    """A span leaves twice: as itself, and as a log record, which is made here so that no job waits for it."""

    def __init__(self, traces: _Later, records: _Later, resource: Resource) -> None:
        self._traces = traces
        self._records = records
        self._resource = resource

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._records.send([ReadableLogRecord(ended(span), self._resource, SPANS) for span in spans])
        self._traces.send(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._traces.stop()


class _LogExporter(LogRecordExporter):
    def __init__(self, records: _Later) -> None:
        self._records = records

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self._records.send(batch)
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return True

    def shutdown(self) -> None:
        self._records.stop()


class _MetricExporter(MetricExporter):
    def __init__(self, later: _Later) -> None:
        super().__init__()
        self._later = later

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        result: MetricExportResult = self._later.loaded().export(metrics_data, timeout_millis)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        self._later.stop()


class _Spans(BatchSpanProcessor):
    def __init__(self, traces: _Later, records: _Later, resource: Resource) -> None:
        super().__init__(_SpanExporter(traces, records, resource))
        self._takers = traces, records

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """FastAPI notes whole queries: of them only the names may leave, for whom a callback calls may be a secret."""
        if query := (span.attributes or {}).get("url.query"):
            names = (name for name, _ in parse_qsl(str(query), keep_blank_values=True))
            span.set_attribute("url.query", "&".join(f"{name}=…" for name in names))

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context and context.trace_flags.sampled:
            for taker in self._takers:
                taker.take()
            super().on_end(span)


class Signals:
    """What is sent of one process: `spans`, what is given to `log`, and how often what happened."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._traces, self._records, self._metrics = _Later("traces"), _Later("logs"), _Later("metrics")
        self._logs = BatchLogRecordProcessor(_LogExporter(self._records)) if self._records.wanted else None
        self.spans = _Spans(self._traces, self._records, resource)
        readers = [PeriodicExportingMetricReader(_MetricExporter(self._metrics))] if self._metrics.wanted else []
        self._meters = MeterProvider(readers, resource)
        meter = self._meters.get_meter("essaim")
        self._counts: dict[str, int] = {}
        meter.create_observable_counter(
            "essaim.events", [self._observed], description="log lines by the name of their event"
        )
        self._seconds = meter.create_histogram("essaim.duration", "s", "what took how long, by the event that says so")

    def log(self, record: LogRecord) -> None:
        """Send this too. It is not checked again: SDK's own loggers would, for limits that nobody needs here."""
        if self._logs is not None:
            self._records.take()
            self._logs.on_emit(ReadableLogRecord(record, self._resource, LINES))  # type: ignore[arg-type]  # it reads alike

    def count(self, event: str, fields: Fields) -> None:
        """One more of these. Not from two threads at once: a logging handler's lock is what holds that."""
        self._counts[event] = self._counts.get(event, 0) + 1
        seconds = fields.get("seconds")
        if isinstance(seconds, float):
            self._seconds.record(seconds, {"event": event})

    def _observed(self, _: CallbackOptions) -> Iterator[Observation]:
        return (Observation(count, {"event": event}) for event, count in self._counts.copy().items())

    def lost(self) -> int:
        """Log records and spans that were taken and have not arrived."""
        return sum(later.taken - later.delivered for later in (self._traces, self._records))

    def shutdown(self) -> None:
        """Send what is left. Spans come first, with `spans`: they are log records too."""
        if self._logs is not None:
            self._logs.shutdown()  # type: ignore[no-untyped-call]  # the SDK has no types there
        self._meters.shutdown()
