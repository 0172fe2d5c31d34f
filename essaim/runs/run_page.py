"""The page of a recorded run: warnings, key figures, charts and tables."""

from collections.abc import Sequence

from essaim.runs import page
from essaim.runs.figures import Percentiles
from essaim.runs.measured import Measured
from essaim.runs.run_pictures import footprints, pictures
from essaim.units import duration, plural, size

LATENCIES = ("p50", "p95", "p99", "max")


def run_page(run: Measured) -> str:
    return page.page(
        f"Load: {run.name}",
        lead(run),
        [
            page.notice(run.recording.run.faults, bad=True),
            page.notice(run.warnings),
            page.tiles(_tiles(run)),
            page.charts([*pictures(run), *footprints(run)]),
            times_table([("", run)]),
            _memory_table(run),
            _requests_table(run),
            _errors_table(run),
            _rules_table(run),
            _files(),
        ],
    )


def lead(run: Measured) -> str:
    it = run.recording.run
    speed = f", time {it.speed:g}× faster in the autoscaler" if it.speed != 1 else ""
    return f"{it.shape} at {it.server}, {it.started:%Y-%m-%d %H:%M:%S} UTC, {duration(run.figures.seconds)}{speed}."


def _tiles(run: Measured) -> list[tuple[str, str, str]]:
    figures, lost, cpu = run.figures, run.figures.states.get("lost", 0), run.recording.run.generator_cpu
    others = ", ".join(f"{count} {state}" for state, count in figures.states.items() if state != "succeeded")
    requests, failures = sum(row.count for row in run.traffic if row.method), sum(row.count for row in run.failures)
    return [
        ("Jobs", f"{figures.jobs:,}", others or "all succeeded"),
        ("Lost", f"{lost:,}", "every id was looked up"),
        ("Failed requests", f"{failures:,}" if requests else "–", f"of {requests:,}" if requests else "not recorded"),
        ("To accept, p95", seconds(figures.accept, "p95"), f"p50 {seconds(figures.accept, 'p50')}"),
        ("To result, p95", seconds(figures.result, "p95"), f"p50 {seconds(figures.result, 'p50')}"),
        ("Most workers", str(figures.peak_workers), f"for at most {plural(figures.peak_queue, 'task')}"),
        ("Cost", f"{figures.worker_seconds:,.0f}", "worker-seconds"),
        ("Waste", f"{figures.waste:.0%}", f"{figures.idle_seconds:,.0f} idle"),
        (
            "Generator",
            "–" if cpu is None else f"{cpu:.0%}",
            "not recorded" if cpu is None else "of one core, under load",
        ),
    ]


def seconds(percentiles: Percentiles | None, name: str) -> str:
    if percentiles is None:
        return "–"
    value: float = getattr(percentiles, name)
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s" if value < 100 else duration(value)


def times_table(runs: Sequence[tuple[str, Measured]]) -> str:
    rows = []
    for name, run in runs:
        for what, percentiles in (("time to accept", run.figures.accept), ("time to result", run.figures.result)):
            rows.append((f"{name}  {what}".strip(), *(seconds(percentiles, column) for column in LATENCIES)))
    says = "To accept: from the first try to 202. To result: from there to the end of a job that succeeded."
    return page.table("Times", ("", *LATENCIES), rows, says)


def _requests_table(run: Measured) -> str:
    if not run.traffic:
        return ""
    rows = [
        (str(row), f"{row.count:,}", f"{row.failures:,}", *(f"{getattr(row, it) * 1000:,.0f} ms" for it in LATENCIES))
        for row in run.traffic
    ]
    says = (
        "As locust counted them, and rounded. Its time to result goes on to the last byte of the result at the visitor."
    )
    return page.table("Requests", ("", "count", "failed", *LATENCIES), rows, says)


def _memory_table(run: Measured) -> str:
    if not run.memory:
        return ""
    rows = [
        (it.role, it.processes, size(it.first), size(it.last), f"{it.last / it.first - 1:+.1%}", size(it.most))
        for it in run.memory
    ]
    says = "Medians of the first and the last quarter, from the first submission to the last end."
    return page.table("Memory", ("", "processes", "first quarter", "last quarter", "change", "most"), rows, says)


def _errors_table(run: Measured) -> str:
    rows = [(row.name, row.error, row.count) for row in run.failures]
    return page.table("Errors", ("request", "error", "count"), rows) if rows else ""


def _rules_table(run: Measured) -> str:
    spec = run.recording.run.scaledobject.get("spec", {})
    modifiers = spec.get("advanced", {}).get("scalingModifiers", {})
    numbers = ("pollingInterval", "cooldownPeriod", "minReplicaCount", "maxReplicaCount")
    rows = [(name, spec[name]) for name in numbers if name in spec]
    rows += [(name, modifiers[name]) for name in ("formula", "target") if name in modifiers]
    rows += [(f"version of {name}", version) for name, version in run.recording.run.versions.items()]
    return page.table("Rules of this run", ("", ""), rows)


def _files() -> str:
    says = {
        "run.json": "what was run",
        "samples.csv": "queue and workers, once a second",
        "jobs.csv": "every job",
        "processes.csv": "memory and CPU of every process",
        "requests_stats.csv": "what locust counted",
    }
    links = ", ".join(f'<a href="{name}">{name}</a> ({what})' for name, what in says.items())
    return f'<p class="quiet">The raw numbers, beside this page: {links}.</p>'
