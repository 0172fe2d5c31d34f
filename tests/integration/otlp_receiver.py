"""A collector for tests: what processes send over OTLP/HTTP, decoded and kept."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS: dict[str, type[Message]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


@dataclass
class Collected:
    """`raw` is everything as text. Attributes are plain dictionaries."""

    spans: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    raw: list[str] = field(default_factory=list)

    def span(self, name: str, **attributes: object) -> dict[str, Any]:
        (found,) = (
            one for one in self.spans if one["name"] == name and attributes.items() <= one["attributes"].items()
        )
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.logs if one["attributes"].get("event") == name]

    def take(self, path: str, body: bytes) -> None:
        message: Any = KINDS[path]()
        message.ParseFromString(body)
        self.raw.append(str(message))
        for resource in getattr(message, "resource_spans", ()):
            for scope in resource.scope_spans:
                self.spans += [_span(one, _plain(resource.resource.attributes)) for one in scope.spans]
        for resource in getattr(message, "resource_logs", ()):
            for scope in resource.scope_logs:
                self.logs += [_log(one, _plain(resource.resource.attributes)) for one in scope.log_records]
        for resource in getattr(message, "resource_metrics", ()):
            for scope in resource.scope_metrics:
                self.metrics |= {one.name for one in scope.metrics}


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def _span(span: Any, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": span.name,
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "links": [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        "failed": span.status.code == 2,
        "attributes": _plain(span.attributes),
        "resource": resource,
    }


def _log(record: Any, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": record.time_unix_nano,
        "severity": record.severity_text,
        "body": record.body.string_value,
        "trace": record.trace_id.hex(),
        "span": record.span_id.hex(),
        "attributes": _plain(record.attributes),
        "resource": resource,
    }


@contextmanager
def receiving() -> Iterator[tuple[str, Collected]]:
    """The endpoint, and what has come there."""
    collected = Collected()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collected.take(self.path.removeprefix("/otlp"), body)  # which is where Loki has it
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", collected
        server.shutdown()
