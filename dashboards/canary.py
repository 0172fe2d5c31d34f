"""Canary: two releases beside each other, the one on the left that has most of the traffic."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import annotation, bars, board, number, plot, release, rows
from dashboards.queries import ENDED, RAISED, count, event, latest, lines, quantile, total, workers

ROLLOUT = "essaim-rollout"
FORWARD = ("rollout.started", "rollout.stepped", "rollout.promoted")
BACK = ("rollout.rolled_back", "rollout.aborted")
SAID = (*FORWARD, "rollout.judged", *BACK)
SHARE = lines('percent=~".+"', service=ROLLOUT)  # with each step, look and end
TITLE = "{{new}}: {{reason}}"


def build() -> Dashboard:
    dashboard = (
        board("canary", "Canary", "Two releases beside each other, by how their jobs end.")
        .with_variable(release("stable", "Left"))
        .with_variable(release("canary", "Right"))
        .annotation(annotation("Steps", event(*FORWARD, service=ROLLOUT), "blue", TITLE))
        .annotation(annotation("Back", event(*BACK, service=ROLLOUT), "red", TITLE))
        .with_panel(
            plot(
                "Share of the requests",
                {"{{new}}, in %": latest(SHARE, "percent", "new")},
            )
        )
        .with_panel(
            rows(
                "What the rollout says",
                event(*SAID, service=ROLLOUT),
                ("event", "new", "percent", "reason"),
                width=12,
                height=8,
            )
        )
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
            "{{event}}": count(event(*RAISED, release=name), "event"),
            "parked": count(event("message.parked", release=name), "event"),
        },
    )
    yield bars(
        f"{name}: warnings and errors",
        {"{{severity_text}}": count(lines('severity_text=~"WARNING|ERROR|CRITICAL"', release=name), "severity_text")},
    )
    yield plot(f"{name}: workers", {"workers": workers(release=name)})
