"""Which signals leave over OTLP, and by which protocol; what was handed over and what arrived is counted."""

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from jobs.log_lines import Fields

MODULES = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
}


def wanted(signal: str) -> bool:
    """Whether an endpoint is set for it, and `OTEL_<signal>_EXPORTER` does not say `none`."""
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    off = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in names)


def exporter(signal: str) -> Any:
    """The SDK's own, by `OTEL_EXPORTER_OTLP_PROTOCOL`: `http/protobuf`, or `grpc`."""
    names = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((os.environ[name] for name in names if os.environ.get(name)), "http/protobuf")
    package = "grpc" if protocol == "grpc" else "http"
    module, name = MODULES[signal]
    return getattr(import_module(f"opentelemetry.exporter.otlp.proto.{package}.{module}"), name)()


class _Later:
    """An exporter that is loaded with its first batch, in the thread that sends it."""

    def __init__(self, signal: str) -> None:
        self._signal = signal
        self._exporter: Any = None
        self.taken = 0
        self.delivered = 0

    def send(self, batch: Sequence[Any]) -> Any:
        result = self.loaded().export(batch)
        self.delivered += len(batch) if result.name == "SUCCESS" else 0
        return result

    def loaded(self) -> Any:
        if self._exporter is None:
            self._exporter = exporter(self._signal)
        return self._exporter

    def stop(self) -> None:
        if self._exporter is not None:
            self._exporter.shutdown()


class _SpanExporter(SpanExporter):
    def __init__(self, later: _Later) -> None:
        self._later = later

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result: SpanExportResult = self._later.send(spans)
        return result

    def shutdown(self) -> None:
        self._later.stop()


class _LogExporter(LogRecordExporter):
    def __init__(self, later: _Later) -> None:
        self._later = later

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        result: LogRecordExportResult = self._later.send(batch)
        return result

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return True

    def shutdown(self) -> None:
        self._later.stop()


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
    def __init__(self, later: _Later) -> None:
        super().__init__(_SpanExporter(later))
        self._later = later

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        self._later.taken += bool(context and context.trace_flags.sampled)
        super().on_end(span)


class _Logs(BatchLogRecordProcessor):
    def __init__(self, later: _Later) -> None:
        super().__init__(_LogExporter(later))
        self._later = later

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self._later.taken += 1
        super().on_emit(log_record)


class Signals:
    """What is sent of one process. `spans` is None where only the log records of ended spans are."""

    def __init__(self, resource: Resource) -> None:
        self._traces, self._records, self._metrics = _Later("traces"), _Later("logs"), _Later("metrics")
        self.logs = LoggerProvider(resource=resource)
        if wanted("logs"):
            self.logs.add_log_record_processor(_Logs(self._records))
        self.spans = _Spans(self._traces) if wanted("traces") else None
        readers = [PeriodicExportingMetricReader(_MetricExporter(self._metrics))] if wanted("metrics") else []
        self._meters = MeterProvider(readers, resource)
        meter = self._meters.get_meter("essaim")
        self._events = meter.create_counter("essaim.events", description="log lines by the name of their event")
        self._seconds = meter.create_histogram("essaim.duration", "s", "what took how long, by the event that says so")

    def count(self, event: str, fields: Fields) -> None:
        self._events.add(1, {"event": event})
        seconds = fields.get("seconds")
        if isinstance(seconds, float):
            self._seconds.record(seconds, {"event": event})

    def lost(self) -> int:
        """Log records and spans that were taken and have not arrived."""
        return sum(later.taken - later.delivered for later in (self._traces, self._records))

    def shutdown(self) -> None:
        self.logs.shutdown()
        self._meters.shutdown()
