"""`essaim report`: a recorded run, or two side by side, as numbers here and as a page to look at."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from essaim.cli.options import Json
from essaim.cli.output import document, note, table
from essaim.units import duration, plural

PAGE = "report.html"


def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR [DIR]", help="Folder of a recorded run, or two to compare.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="Where to write the page.", show_default="report.html in the last DIR"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Report on a recorded load test: a table here, and a self-contained HTML page.

    Example: essaim report .essaim/load/monday

    Example: essaim report .essaim/load/monday .essaim/load/tuesday --output difference.html
    """
    if len(folders) > 2:
        raise typer.BadParameter("give one run, or two to compare")
    print_report(folders, write_report(*folders, output=output), as_json=as_json)


def write_report(*folders: Path, output: Path | None = None) -> Path:
    """Write the page and return its path. Raises `RecordingError` for a folder that is not a recorded run."""
    from essaim.runs.comparison_page import comparison_page
    from essaim.runs.measured import read_measured
    from essaim.runs.run_page import run_page

    first, *others = [read_measured(folder) for folder in folders]
    name = PAGE if not others else f"against-{folders[0].resolve().name}.html"
    path = output or folders[-1] / name
    text = comparison_page(first, others[0]) if others else run_page(first)
    path.write_text(text, encoding="utf-8")
    return path


def print_report(folders: Sequence[Path], page: Path, *, as_json: bool) -> None:
    """Print the figures of each run, and where the page is."""
    from essaim.runs.measured import Measured, read_measured

    runs = [read_measured(folder) for folder in folders]
    if as_json:
        return document({"page": str(page), "runs": [_described(run) for run in runs]})
    columns = [_column(run) for run in runs]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    names: list[str] = [run.name for run in runs]
    table(("", *names), rows, right=names)

    def about(run: Measured, sentence: str) -> str:
        return f"{run.name}: {sentence}" if len(runs) > 1 else sentence

    for run in runs:
        for warning in run.warnings:
            note(about(run, warning))
    note(f"full report: {page}")


def _described(run: Any) -> dict[str, Any]:
    return {
        "name": run.name,
        **asdict(run.figures),
        "waste": round(run.figures.waste, 4),
        "generator_cpu": run.recording.run.generator_cpu,
        "memory": [asdict(row) for row in run.memory],
        "requests": [asdict(row) for row in run.traffic],
        "errors": [asdict(row) for row in run.failures],
        "faults": list(run.recording.run.faults),
        "warnings": run.warnings,
    }


def _column(run: Any) -> dict[str, str]:
    """The most important figures."""
    figures = run.figures
    return {
        "jobs": ", ".join(f"{count} {state}" for state, count in sorted(figures.states.items())) or "none",
        "time to accept, p50 / p95 / p99": _spread(figures.accept),
        "time to result, p50 / p95 / p99": _spread(figures.result),
        "longest queue": plural(figures.peak_queue, "task"),
        "most workers": str(figures.peak_workers),
        "worker-seconds": f"{figures.worker_seconds:,.0f}",
        "of these idle": f"{figures.waste:.0%}",
        "failed requests": f"{sum(row.count for row in run.failures):,}" if run.traffic else "–",
        "generator": "–" if (cpu := run.recording.run.generator_cpu) is None else f"{cpu:.0%} of a core",
        "length": duration(figures.seconds),
    }


def _spread(percentiles: Any) -> str:
    if percentiles is None:
        return "–"
    return " / ".join(f"{value:.2f}" for value in (percentiles.p50, percentiles.p95, percentiles.p99)) + " s"
