"""A plan in the terminal: a table of the candidates, and curves of queue and workers for each."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from essaim.cli.local.live import spark
from essaim.cli.plan.advice import time
from essaim.planning.planning import Assessment
from essaim.units import duration

RIGHT = ("p50", "p95", "p99", "workers", "worker-seconds", "idle")
LABEL = 24


def headers(assessments: Sequence[Assessment]) -> list[str]:
    names = [name for name, _ in assessments[0].candidate.settings] or ["ScaledObject"]
    return ["", *names, *RIGHT]


def rows(assessments: Sequence[Assessment], chosen: Assessment | None) -> list[list[object]]:
    """A row for each candidate. The p95 is the worst of all replays, after the best if the two differ."""
    return [
        [
            "→" if one is chosen else "",
            *([value for _, value in one.candidate.settings] or ["as it is"]),
            time(one.worst.p50),
            _spread(one),
            time(one.worst.p99),
            max(it.peak for it in one.outcomes),
            f"{one.worker_seconds:,.0f}",
            f"{one.waste:.0%}",
        ]
        for one in assessments
    ]


def curves(assessments: Sequence[Assessment], width: int) -> RenderableType:
    """Workers and queue over time, all on the same scales."""
    shown = [one.forecast.moments for one in assessments]
    end = max(moments[-1].seconds for moments in shown)
    most = max(moment.workers for moments in shown for moment in moments)
    deepest = max(moment.ready for moments in shown for moment in moments)
    columns = max(20, width - LABEL)
    lines: list[RenderableType] = []
    for one, moments in zip(assessments, shown, strict=True):
        times = [moment.seconds for moment in moments]
        workers = _squeezed(times, [moment.workers for moment in moments], end, columns)
        queue = _squeezed(times, [moment.ready for moment in moments], end, columns)
        lines += [
            Text(str(one.candidate), style="bold", no_wrap=True, overflow="ellipsis"),
            _curve(f"workers, up to {max(workers)}", workers, most, "green"),
            _curve(f"waiting, up to {max(queue)}", queue, deepest, "magenta"),
        ]
    scale = f"{'':<{LABEL}}0{duration(end).rjust(columns - 1)}"
    return Group(*lines, Text(scale, style="dim", no_wrap=True))


def _curve(label: str, values: Sequence[int], top: int, colour: str) -> Text:
    return Text.assemble((f"{label:<{LABEL}}", "dim"), (spark(values, len(values), top), colour), no_wrap=True)


def _squeezed(times: Sequence[float], values: Sequence[int], end: float, columns: int) -> list[int]:
    """The highest value in each column of time; a value holds until the next."""
    found, at, value = [], 0, 0
    edges = [column * end / columns for column in range(1, columns + 1)]
    for edge in edges:
        highest = value
        while at < len(times) and times[at] <= edge:
            value, at = values[at], at + 1
            highest = max(highest, value)
        found.append(highest)
    return found


def _spread(one: Assessment) -> str:
    best, worst = time(one.best_p95), time(one.worst.p95)
    return worst if best == worst else f"{best} – {worst}"
