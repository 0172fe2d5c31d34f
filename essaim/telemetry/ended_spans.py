"""A span that has ended as a log record, so that Loki alone shows a trace."""

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk.trace import ReadableSpan


def ended(span: ReadableSpan) -> LogRecord:
    """Its name, duration, status, parent and links, beside its own attributes."""
    context = span.get_span_context() or trace.INVALID_SPAN_CONTEXT
    end = span.end_time or 0
    seconds = (end - (span.start_time or end)) / 1e9
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
    return LogRecord(
        timestamp=end,
        observed_timestamp=end,
        context=trace.set_span_in_context(trace.NonRecordingSpan(context)),
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body=f"span.ended {span.name} {seconds * 1000:.1f} ms",
        attributes=attributes,
        event_name="span.ended",
    )
