"""LogQL over what Loki gets from the collector: `essaim/telemetry/log_events.py` says which events and fields there are.

Streams have the labels `service_name` and `service_version` (the release); all else is structured metadata.
`$__auto` is Grafana's: what lies between two points of a plot.
"""

ESSAIM = "essaim-api|essaim-worker"
ENDED = ("job.succeeded", "job.failed", "job.cancelled")
RAISED = ("task.failed", "task.rejected")
ALIVE = "20s"  # a worker or API says something every 15 seconds at least (essaim/jobs/watching.py)


def lines(*filters: str, service: str = ESSAIM, release: str = "") -> str:
    """Log lines of the services and the release (a regular expression) that pass all filters."""
    selector = f"service_name{_is(service)}" + (f', service_version=~"{release}"' if release else "")
    return " | ".join([f"{{{selector}}}", *filters])


def event(*names: str, where: str = "", service: str = ESSAIM, release: str = "") -> str:
    """Lines of any of these events that pass the filter."""
    filters = [f"event{_is('|'.join(names))}", *([where] if where else [])]
    return lines(*filters, service=service, release=release)


def _is(value: str) -> str:
    return f'=~"{value}"' if "|" in value else f'="{value}"'


def about(job: str = "$job") -> str:
    """A filter: lines of that job, or of the trace with that id; none for "", which a line without a job would equal."""
    return f'(job="{job}" and job!="") or (trace_id="{job}" and trace_id!="")'


def count(query: str, by: str, over: str = "$__auto") -> str:
    return f"sum by ({by}) (count_over_time({query} [{over}]))"


def total(query: str, over: str = "$__range") -> str:
    """How many there are; 0 where there are none."""
    return f"(sum(count_over_time({query} [{over}])) or vector(0))"


def highest(query: str, field: str, by: str, over: str = "$__auto") -> str:
    return f"max_over_time({query} | unwrap {field} [{over}]) by ({by})"


def latest(query: str, field: str, by: str, over: str = "$__auto") -> str:
    return f"last_over_time({query} | unwrap {field} [{over}]) by ({by})"


def quantile(share: float, query: str, field: str, by: str, over: str = "$__auto") -> str:
    return f"quantile_over_time({share}, {query} | unwrap {field} [{over}]) by ({by})"


def workers(by: str = "service_version", release: str = "") -> str:
    """How many have lately said that they live."""
    alive = count(event("queue.depth", service="essaim-worker", release=release), f"{by}, worker", ALIVE)
    return f"count by ({by}) ({alive})"
