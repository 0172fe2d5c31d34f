"""One job: its story, its attempts, and its spans, from the client's request to its end."""

from grafana_foundation_sdk.builders.dashboard import TextBoxVariable
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import board, number, rows, story
from dashboards.queries import ENDED, RAISED, about, event, highest, lines, total

ATTEMPTS = ("task.claimed", "task.finished", "task.stopped", *RAISED)


def build() -> Dashboard:
    job = TextBoxVariable("job").label("Job").description("A job's id; a trace's id also shows the request itself.")
    return (
        board("job", "One job", "Everything that was logged about one job, or within one trace.")
        .with_variable(job.default_value("none"))
        .with_panel(
            number("Time to its end", highest(event(*ENDED, where=about()), "seconds", "", "$__range"), unit="s")
        )
        .with_panel(
            number(
                "Waited for a worker",
                f"min_over_time({event('task.claimed', where=about())} | unwrap waited [$__range]) by ()",
                unit="s",
            )
        )
        .with_panel(number("Attempts", total(event("task.claimed", where=about()))))
        .with_panel(number("Finished tasks", total(event("task.finished", where=about()))))
        .with_panel(number("Attempts that failed", total(event(*RAISED, where=about()))))
        .with_panel(number("Attempts stopped early", total(event("task.stopped", where=about()))))
        .with_panel(story("Its story", lines(about(), 'event!="span.ended"'), newest_first=False))
        .with_panel(
            rows(
                "Attempts",
                event(*ATTEMPTS, where=about()),
                [
                    "event",
                    "task",
                    "attempt",
                    "worker",
                    "waited",
                    "failures",
                    "reason",
                    "service_version",
                    "k8s_pod_name",
                ],
            )
        )
        .with_panel(
            rows(
                "Spans",
                event("span.ended", where=about()),
                [
                    "service_name",
                    "span",
                    "kind",
                    "seconds",
                    "status",
                    "task",
                    "attempt",
                    "span_id",
                    "parent",
                    "links",
                    "trace_id",
                ],
                height=12,
            )
        )
        .build()
    )
