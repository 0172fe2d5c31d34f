"""Time series as inline SVG. `static/page.js` shows the values under the pointer."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Literal

Point = tuple[float, float | None]

WIDTH, HEIGHT = 680, 236
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 28
COLOURS = 6  # of `static/page.css`


@dataclass(frozen=True, slots=True)
class Series:
    """`points` are seconds and a value, in the order of time; None is a gap. `colour`: 1 to 6, by default its place.

    A `line` joins values, a `step` keeps each until the next, an `area` is a step filled down to 0, `dots` stand alone.
    """

    name: str
    points: Sequence[Point]
    kind: Literal["line", "step", "area", "dots"] = "line"
    dashed: bool = False
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Plane:
    """Maps values to positions in the chart."""

    start: float
    end: float
    top: float

    def x(self, seconds: float) -> float:
        return round(LEFT + (seconds - self.start) / ((self.end - self.start) or 1) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM), 1)


def chart(
    title: str,
    unit: str,
    series: Iterable[Series],
    *,
    note: str = "",
    lines: Sequence[tuple[float, str]] = (),
    end: float | None = None,
) -> str:
    """A chart of one unit over seconds. `lines` are marked values; a common `end` aligns several charts."""
    shown = [replace(it, colour=it.colour or 1 + place % COLOURS) for place, it in enumerate(series) if it.points]
    values = [value for it in shown for _, value in it.points if value is not None] + [value for value, _ in lines]
    times = [seconds for it in shown for seconds, _ in it.points]
    steps = ticks(max(values, default=1))
    plane = Plane(min([0.0, *times]), end or max(times, default=1), steps[-1])
    legend = "".join(f'<span class="c{it.colour}">{escape(it.name)}</span>' for it in shown)
    drawn = "".join(_drawn(it, plane) for it in shown)
    data = json.dumps([{"name": it.name, "colour": it.colour, "points": _simplified(it)} for it in shown])
    caption = f'<p class="quiet">{escape(note)}</p>' if note else ""
    return (
        f'<figure class="chart"><figcaption><b>{escape(title)}</b> <i>{escape(unit)}</i>'
        f'<span class="legend">{legend}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}, {escape(unit)}" '
        f'data-plot="{LEFT} {WIDTH - RIGHT} {plane.start} {plane.end}">{_axes(plane, steps)}{drawn}{_marks(lines, plane)}'
        f'<line class="now" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/></svg>'
        f'<script type="application/json">{data.replace("<", chr(92) + "u003c")}</script>{caption}</figure>'
    )


def ticks(most: float, wanted: int = 4) -> list[float]:
    """Round numbers from 0 up to at least `most`."""
    most = most if most > 0 else 1
    magnitude = 10 ** math.floor(math.log10(most / wanted))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor * wanted >= most * 0.999)
    return [round(step * number, 10) for number in range(math.ceil(most / step * 0.999) + 1)]


def _simplified(series: Series) -> list[Point]:
    return [(round(seconds, 2), None if value is None else round(value, 3)) for seconds, value in _thin(series)]


def _thin(series: Series) -> list[Point]:
    """The points without those between two equal values."""
    points = series.points
    if series.kind == "dots":
        return list(points)
    return [
        point
        for place, point in enumerate(points)
        if place in (0, len(points) - 1) or not points[place - 1][1] == point[1] == points[place + 1][1]
    ]


def _drawn(series: Series, plane: Plane) -> str:
    style = f'class="s {series.kind} c{series.colour}"'
    if series.kind == "dots":
        return "".join(
            f'<circle {style} cx="{plane.x(seconds)}" cy="{plane.y(value)}" r="2.2"/>'
            for seconds, value in series.points
            if value is not None
        )
    dashes = ' stroke-dasharray="5 3"' if series.dashed else ""
    return "".join(f'<path {style}{dashes} d="{_path(run, series.kind, plane)}"/>' for run in _runs(_thin(series)))


def _runs(points: Iterable[Point]) -> list[list[tuple[float, float]]]:
    """The pieces between the gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for seconds, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((seconds, value))
    return [run for run in runs if run]


def _path(run: Sequence[tuple[float, float]], kind: str, plane: Plane) -> str:
    across = "H{0}V{1}" if kind in ("step", "area") else "L{0} {1}"
    (first, value), *rest = run
    path = f"M{plane.x(first)} {plane.y(value)}"
    path += "".join(across.format(plane.x(seconds), plane.y(value)) for seconds, value in rest)
    return f"{path}V{plane.y(0)}H{plane.x(first)}Z" if kind == "area" else path


def _axes(plane: Plane, steps: Sequence[float]) -> str:
    parts = []
    for value in steps:
        y = plane.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y + 4}">{_number(value)}</text>')
    minutes = plane.end - plane.start > 240
    unit = 60.0 if minutes else 1.0
    for tick in ticks((plane.end - plane.start) / unit, 6):
        if (seconds := plane.start + tick * unit) <= plane.end:
            label = f"{_number(tick)} {'min' if minutes else 's'}"
            parts.append(f'<text class="middle" x="{plane.x(seconds)}" y="{HEIGHT - 9}">{label}</text>')
    return "".join(parts)


def _marks(lines: Sequence[tuple[float, str]], plane: Plane) -> str:
    return "".join(
        f'<line class="mark" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{plane.y(value)}" y2="{plane.y(value)}"/>'
        f'<text class="end quiet" x="{WIDTH - RIGHT - 2}" y="{plane.y(value) - 4}">{escape(label)}</text>'
        for value, label in lines
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"
