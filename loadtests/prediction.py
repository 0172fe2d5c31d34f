"""Prediction against reality: every recorded run of tests/data, and what the simulation makes of it, on one picture.

Usage: python -m loadtests.prediction [FILE]; by default docs/prediction.svg. Prints the errors.
"""

import re
import sys
from html import escape
from pathlib import Path

from essaim.cli.plan.page import shares
from essaim.planning.arrivals import recorded
from essaim.planning.comparison import Comparison, compare, times_recorded
from essaim.planning.outcome import times_to_result
from essaim.planning.recording import Recording, read
from essaim.runs.charts import HEIGHT, WIDTH, Series, chart

ROOT = Path(__file__).parents[1]
RUNS, PICTURE = ROOT / "tests" / "data" / "runs", ROOT / "docs" / "prediction.svg"
HEAD, TITLE = 44, 24
ROW = TITLE + HEIGHT + 16
STYLE = """
:root { --ground: #fff; --ink: #1b2027; --quiet: #59636f; --line: #e3e6eb; --c1: #3b55c9; --c2: #d9730d; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0f1216; --ink: #e4e8ed; --quiet: #9ba6b3; --line: #2b323b; --c1: #9db0ff; --c2: #ffab5e; }
}
.ground { fill: var(--ground); }
text { font: 11px system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; fill: var(--quiet); }
.title { font-size: 13px; font-weight: 600; fill: var(--ink); }
.end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: var(--line); } .mark { stroke: var(--quiet); stroke-dasharray: 2 4; } .now { visibility: hidden; }
.s { fill: none; stroke-width: 1.75; stroke-linejoin: round; }
.c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .area { fill: var(--c1); fill-opacity: 0.22; stroke-width: 1.25; }
"""


def recordings() -> dict[str, Recording]:
    return {folder.name: read(folder) for folder in sorted(RUNS.iterdir())}


def picture(runs: dict[str, Recording]) -> str:
    """An SVG document: a row for each run, workers on the left and times to result on the right."""
    rows = [_row(name, run, HEAD + at * ROW) for at, (name, run) in enumerate(runs.items())]
    key = (
        '<rect class="s area c1" x="52" y="12" width="18" height="10"/><text x="76" y="21">recorded</text>'
        '<path class="s c2" d="M148 17h18"/><text x="172" y="21">predicted</text>'
        '<text x="300" y="21">workers over time</text>'
        f'<text x="{WIDTH + 52}" y="21">percent of the jobs that have their result after so long</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEAD + len(rows) * ROW}" role="img" '
        f'aria-label="Prediction against reality">\n<style>{STYLE}</style>\n'
        f'<rect class="ground" width="100%" height="100%"/>\n{key}\n' + "\n".join(rows) + "\n</svg>\n"
    )


def sentence(name: str, told: Comparison) -> str:
    """The errors of one run."""
    return (
        f"{name}: workers off by {told.replicas_error:.1%} of their peak of {told.peak}; "
        f"p95 {told.p95_predicted:.1f} s predicted, {told.p95_recorded:.1f} s recorded ({told.p95_error:+.1%})"
    )


def _row(name: str, run: Recording, top: int) -> str:
    told = compare(run)
    workers = [
        Series("recorded", [(it.seconds, it.workers) for it in run.moments], "area"),
        Series("predicted", [(it.seconds, it.workers) for it in told.forecast.moments], "step"),
    ]
    times = [
        Series("recorded", shares(times_recorded(run)), "area"),
        Series("predicted", shares(times_to_result(told.forecast, recorded(run))), "step"),
    ]
    return (
        f'<text class="title" x="52" y="{top + 14}">{escape(sentence(name, told))}</text>'
        + _placed(chart("", "", workers), 0, top + TITLE)
        + _placed(chart("", "", times, lines=[(95.0, "95 %")]), WIDTH, top + TITLE)
    )


def _placed(figure: str, x: int, y: int) -> str:
    """The drawing out of a figure of a page."""
    drawing = re.search(r"<svg viewBox[^>]*>(.*?)</svg>", figure, re.DOTALL)
    assert drawing
    return f'<g transform="translate({x} {y})">{drawing[1]}</g>'


def main() -> None:
    runs = recordings()
    for name, run in runs.items():
        print(sentence(name, compare(run)))
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    path.write_text(picture(runs), encoding="utf-8")


if __name__ == "__main__":
    main()
