"""Why did it scale: the queue, what the formula makes of it, what the autoscalers wanted, and the workers that came."""

import re
from pathlib import Path

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import annotation, bars, board, plot, release, story
from dashboards.queries import count, event, highest, lines, workers

SCALED_OBJECT = Path(__file__).parents[1] / "platform" / "worker" / "scaledobject.yaml"
RELEASE = "service_version"
EVENTS = "kubernetes-events"
DEPTH = event("queue.depth", release="$release")
FIRST = event("task.claimed", where='attempt="1"', release="$release")  # later ones have waited for themselves too
RESCALES = "SuccessfulRescale|KEDAScaleTargetActivated|KEDAScaleTargetDeactivated"  # HPA, and KEDA from and to 0


def build() -> Dashboard:
    size = lines(f'k8s_event_reason=~"{RESCALES}"', 'regexp "(New size: |to )(?P<size>[0-9]+)"', service=EVENTS)
    return (
        board("scaling", "Why did it scale", "The queue, the formula's value, what was wanted, and what came.")
        .with_variable(release("release", "Release").include_all(True).all_value(".+"))
        .annotation(annotation("HPA", lines('k8s_event_reason="SuccessfulRescale"', service=EVENTS), "blue"))
        .annotation(annotation("KEDA", lines('k8s_event_reason=~"KEDA.*|ScaledObject.*"', service=EVENTS), "purple"))
        .annotation(annotation("Warnings", lines('severity_text="Warning"', service=EVENTS), "red"))
        .with_panel(
            plot(
                "Queue, formula and workers",
                {
                    "waiting {{service_version}}": highest(DEPTH, "ready", RELEASE),
                    "running {{service_version}}": highest(DEPTH, "in_flight", RELEASE),
                    "formula {{service_version}}": formula(),
                    "wanted: {{k8s_object_name}}": highest(size, "size", "k8s_object_name"),
                    "workers {{service_version}}": workers(release="$release"),
                },
                width=24,
                about="The formula is that of platform/worker/scaledobject.yaml. What is wanted is said when it changes: "
                "by the HPA between 1 and N, by KEDA from and to 0.",
            )
            .span_nulls(True)
            .height(12)
        )
        .with_panel(
            bars(
                "Workers that came and went",
                {
                    "{{event}}": count(
                        event("worker.started", "worker.draining", "worker.left", release="$release"), "event"
                    )
                },
            )
        )
        .with_panel(
            plot(
                "How long tasks had waited",
                {"{{service_version}}": highest(FIRST, "waited", RELEASE)},
                unit="s",
                about="Since the job's submission, the longest that was claimed for the first time meanwhile.",
            )
        )
        .with_panel(story("What Kubernetes and KEDA said", lines(service=EVENTS)))
        .build()
    )


def formula() -> str:
    """That of the ScaledObject, with running tasks for `total - ready`. LogQL has no `ceil`: what is begun counts as one."""
    (divisor,) = re.findall(
        r'formula: "max\(total - ready, 0\) \+ ceil\(max\(ready, waiting\) / (\d+)\)"', SCALED_OBJECT.read_text()
    )
    running, waiting = highest(DEPTH, "in_flight", RELEASE), highest(DEPTH, "ready", RELEASE)
    return f"{running} + ({waiting} - {waiting} % {divisor}) / {divisor} + ({waiting} % {divisor} > bool 0)"
