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
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from essaim.telemetry.exporters import Signals
from essaim.telemetry.log_lines import Fields, Kind, encodable, plain, raised, sentence, trouble

if TYPE_CHECKING:  # start-up time
    from fastapi.telemetry import TelemetryConfig

KINDS = {"internal": SpanKind.INTERNAL, "producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER}
W3C = TraceContextTextMapPropagator()
QUIET = ("/livez", "/readyz", "/events")  # probes, and streams that are minutes long


class Otlp:
    """One process's telemetry. `handler` goes to the root logger."""

    def __init__(self, service: str, release: str, instance: str) -> None:
        resource = _resource(service, release, instance)
        self._signals = Signals(resource)
        self._spans = TracerProvider(resource=resource)  # sampled as OTEL_TRACES_SAMPLER says; default: as the parent
        self._spans.add_span_processor(self._signals.spans)
        self._tracer = self._spans.get_tracer("essaim")
        self.handler = OtlpHandler(self._signals, {"release": release, service: instance})

    @contextmanager
    def span(self, name: str, kind: Kind, parent: str | None, link: str | None, fields: Fields) -> Iterator[None]:
        context = W3C.extract({"traceparent": parent}) if parent else None
        links = [Link(_context(link))] if link else []
        attributes = {key: plain(value) for key, value in fields.items()}
        started = self._tracer.start_span(name, context, KINDS[kind], attributes, links)
        with trace.use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except Exception as error:
                started.add_event("exception", trouble(error))
                started.set_status(StatusCode.ERROR, encodable(f"{type(error).__name__}: {error}"))
                raise

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


class _Resource(Resource):
    """Hashed once: the SDK does it for each record that it sends, by way of JSON."""

    def __hash__(self) -> int:
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = super().__hash__()
        return known


def _resource(service: str, release: str, instance: str) -> Resource:
    """What all of it comes from; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` have their say."""
    ours = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or f"essaim-{service}",
        "service.namespace": "essaim",
        "service.version": release,
        "service.instance.id": instance,
    }
    merged = Resource.create(ours)
    return _Resource(merged.attributes, merged.schema_url)


class OtlpHandler(logging.Handler):
    """Log lines as OTLP records: the sentence as body, the event's name, and each field as an attribute."""

    def __init__(self, signals: Signals, fields: Fields) -> None:
        super().__init__()
        self._signals = signals
        self._fields = {name: plain(value) for name, value in fields.items()}

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("opentelemetry"):  # what it says of its own troubles would never end
            return
        try:
            self._send(record)
        except Exception:  # a library's line whose arguments do not fit: no reason for whoever logs it to fail
            self.handleError(record)

    def _send(self, record: logging.LogRecord) -> None:
        fields: Fields = getattr(record, "fields", {})
        attributes = {**self._fields, **{name: plain(value) for name, value in fields.items()}}
        if record.name == "essaim":
            attributes["event"] = record.msg
            self._signals.count(record.msg, fields)
        else:
            attributes["logger"] = record.name
        at = int(record.created * 1e9)
        self._signals.log(
            LogRecord(
                timestamp=at,
                observed_timestamp=at,
                severity_text=record.levelname,
                severity_number=_severity(record.levelno),
                body=encodable(sentence(record)),
                attributes={**attributes, **trouble(raised(record))},
                event_name=record.msg if record.name == "essaim" else None,
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
