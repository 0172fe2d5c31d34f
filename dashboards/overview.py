"""Overview: what comes in, what goes out, how long it takes, and what fails; by release."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import bars, board, number, plot, rows, story
from dashboards.queries import ENDED, RAISED, count, event, highest, lines, quantile, total, workers

RELEASE = "service_version"
DEPTH = event("queue.depth")
SUCCEEDED = event("job.succeeded")


def build() -> Dashboard:
    return (
        board("overview", "Overview", "Jobs of all releases: accepted, running, ended, and how long they took.")
        .with_panel(number("Accepted", total(event("job.submitted", service="essaim-api"))))
        .with_panel(number("Succeeded", total(SUCCEEDED)))
        .with_panel(number("Failed", total(event("job.failed"))))
        .with_panel(number("Attempts that failed", total(event(*RAISED))))
        .with_panel(number("Time to result, p95", quantile(0.95, SUCCEEDED, "seconds", "", "$__range"), unit="s"))
        .with_panel(number("Workers now", "sum(" + workers() + ")", none="0"))
        .with_panel(
            bars(
                "Accepted",
                {"{{service_version}}": count(event("job.submitted", service="essaim-api"), RELEASE)},
                width=8,
            )
        )
        .with_panel(plot("Running tasks", {"{{service_version}}": highest(DEPTH, "in_flight", RELEASE)}, width=8))
        .with_panel(
            bars("Ended", {"{{event}} {{service_version}}": count(event(*ENDED), f"event, {RELEASE}")}, width=8)
        )
        .with_panel(
            plot(
                "Time to result",
                {
                    "p50 {{service_version}}": quantile(0.5, SUCCEEDED, "seconds", RELEASE),
                    "p95 {{service_version}}": quantile(0.95, SUCCEEDED, "seconds", RELEASE),
                },
                unit="s",
                about="From the submission to the result, of jobs that succeeded.",
            )
        )
        .with_panel(
            plot(
                "Queue and workers",
                {
                    "waiting {{service_version}}": highest(DEPTH, "ready", RELEASE),
                    "running {{service_version}}": highest(DEPTH, "in_flight", RELEASE),
                    "workers {{service_version}}": workers(),
                },
                about="Tasks that wait, tasks that run, and workers that have lately said that they live.",
            )
        )
        .with_panel(
            bars(
                "Failures by kind",
                {
                    "job: {{kind}}": count(event("job.failed"), "kind"),
                    "{{event}}": count(event(*RAISED), "event"),
                    "parked": count(event("message.parked"), "event"),
                },
            )
        )
        .with_panel(rows("Ended jobs", event(*ENDED), ["job", "event", RELEASE, "seconds", "kind"], width=12, height=8))
        .with_panel(story("Warnings and errors", lines('severity_text=~"WARNING|ERROR|CRITICAL"'), height=8))
        .build()
    )
