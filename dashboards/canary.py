"""Canary: two releases beside each other, the one on the left that has most of the traffic."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import bars, board, number, plot, release
from dashboards.queries import ENDED, count, event, lines, quantile, total, workers


def build() -> Dashboard:
    dashboard = (
        board("canary", "Canary", "Two releases beside each other, by how their jobs end.")
        .with_variable(release("stable", "Left"))
        .with_variable(release("canary", "Right"))
    )
    for pair in zip(column("$stable"), column("$canary"), strict=True):
        for panel in pair:
            dashboard.with_panel(panel)
    return dashboard.build()


def column(name: str) -> Iterator[stat.Panel | timeseries.Panel]:
    """All that is shown of a release, half as wide as the screen."""
    succeeded, failed = event("job.succeeded", release=name), event("job.failed", release=name)
    decided = event("job.succeeded", "job.failed", release=name)
    yield number(
        f"{name}: failed jobs",
        f"{total(failed)} / sum(count_over_time({decided} [$__range]))",
        unit="percentunit",
        width=12,
    )
    yield number(
        f"{name}: time to result, p95", quantile(0.95, succeeded, "seconds", "", "$__range"), unit="s", width=12
    )
    yield bars(
        f"{name}: jobs",
        {
            "accepted": count(event("job.submitted", release=name), "service_version"),
            "{{event}}": count(event(*ENDED, release=name), "event"),
        },
    )
    yield plot(
        f"{name}: time to result",
        {
            "p50": quantile(0.5, succeeded, "seconds", "service_version"),
            "p95": quantile(0.95, succeeded, "seconds", "service_version"),
        },
        unit="s",
    )
    yield bars(
        f"{name}: failures by kind",
        {
            "job: {{kind}}": count(failed, "kind"),
            "attempt, tried again": count(event("task.failed", release=name), "event"),
            "parked": count(event("message.parked", release=name), "event"),
        },
    )
    yield bars(
        f"{name}: warnings and errors",
        {"{{severity_text}}": count(lines('severity_text=~"WARNING|ERROR|CRITICAL"', release=name), "severity_text")},
    )
    yield plot(f"{name}: workers", {"workers": workers(release=name)})
