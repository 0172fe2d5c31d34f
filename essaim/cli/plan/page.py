"""The page of a plan: the recommendation, a table of the candidates, and charts of queue and workers for each."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import isfinite

from essaim.cli.plan.screen import headers, rows
from essaim.planning.arrivals import Load
from essaim.planning.comparison import times_recorded
from essaim.planning.outcome import times_to_result
from essaim.planning.planning import Assessment
from essaim.planning.recording import Moment, Recording
from essaim.runs.charts import Point, Series, chart
from essaim.runs.page import answer, charts, page, table

PICTURED, RECORDED = 5, 6  # candidates, and the colour of the recorded run: as many as there are colours
STEPS = 400


def plan_page(
    about: str,
    load: Load,
    assessments: Sequence[Assessment],
    chosen: Assessment | None,
    sentences: Sequence[str],
    recorded: Recording | None = None,
) -> str:
    """`recorded`: the run that was replayed, for comparison."""
    first = sorted(assessments, key=lambda it: (it is not chosen, it.worst.p95))[:PICTURED]
    note = f"The charts show the first {PICTURED} by p95, the table all." if len(first) < len(assessments) else ""
    return page(
        "What if",
        f"{about}. Simulated with the arithmetic of KEDA and the HPA; the charts show the replay with the worst p95.",
        [
            answer(sentences),
            table("Candidates", headers(assessments), rows(assessments, chosen), note),
            charts(_pictures(first, load, recorded)),
        ],
    )


def _pictures(shown: Sequence[Assessment], load: Load, recorded: Recording | None) -> list[str]:
    simulated = [(str(it.candidate), it.forecast.moments, times_to_result(it.forecast, load)) for it in shown]
    lines = [_lines(name, moments, took) for name, moments, took in simulated]
    end = max(moments[-1].seconds for _, moments, _ in simulated)
    if recorded:
        real = _lines("recorded", recorded.moments, times_recorded(recorded))
        lines.append([replace(line, dashed=True, colour=RECORDED) for line in real])
        end = max(end, recorded.moments[-1].seconds)
    workers, waiting, times, costs = zip(*lines, strict=True)
    explanation = "The share of jobs that have their result after this time."
    return [
        chart("Workers", "alive", workers, end=end),
        chart("Queue", "tasks waiting", waiting, end=end),
        chart("Time to result", "% of the jobs", times, lines=[(95.0, "95 %")], note=explanation),
        chart("Cost", "worker-seconds so far", costs, end=end),
    ]


def _lines(name: str, moments: Sequence[Moment], times: Sequence[float]) -> list[Series]:
    return [
        Series(name, [(it.seconds, it.workers) for it in moments], "step"),
        Series(name, [(it.seconds, it.ready) for it in moments], "step"),
        Series(name, shares(times), "step"),
        Series(name, _spent(moments), "line"),
    ]


def _spent(moments: Sequence[Moment]) -> list[Point]:
    """Desired workers count even before they have started, if that is known."""
    paid = [max(moment.workers, moment.replicas_desired or 0) for moment in moments]
    steps = (
        (now.seconds - before.seconds) * count for (before, now), count in zip(pairwise(moments), paid, strict=False)
    )
    return [(moment.seconds, spent) for moment, spent in zip(moments, accumulate(steps, initial=0.0), strict=True)]


def shares(times: Iterable[float]) -> list[Point]:
    """The percentage of jobs that have ended after each time, in at most `STEPS` steps."""
    ordered = sorted(times)
    picked = sorted({round(at * len(ordered) / STEPS) for at in range(1, STEPS + 1)} - {0})
    return [(0.0, 0.0), *((ordered[at - 1], 100 * at / len(ordered)) for at in picked if isfinite(ordered[at - 1]))]
