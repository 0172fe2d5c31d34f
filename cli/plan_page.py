"""A plan as a page: what to take and why, the candidates as a table, and what queue and workers would do under each."""

from collections.abc import Sequence
from math import isfinite

from cli.charts import Point, Series, chart
from cli.page import answer, charts, page, table
from cli.plan_screen import headers, rows
from scaling.forecast import Forecast
from scaling.planning import Assessment
from scaling.recording import Recording

PICTURED, RECORDED = 5, 6  # candidates, and what was recorded: as many as there are colours
BINS = 300


def plan_page(
    about: str,
    assessments: Sequence[Assessment],
    chosen: Assessment | None,
    sentences: Sequence[str],
    recorded: Recording | None = None,
) -> str:
    """`recorded`: the run that is replayed, to be seen beside what would be."""
    first = sorted(assessments, key=lambda it: (it is not chosen, it.worst.p95))[:PICTURED]
    note = f"The pictures show the first {PICTURED} by p95, the table all." if len(first) < len(assessments) else ""
    return page(
        "What if",
        f"{about}. Told in advance by the ScaledObject's own arithmetic; pictures are of the replay with the worst p95.",
        [
            answer(sentences),
            table("Candidates", headers(assessments), rows(assessments, chosen), note),
            charts(_pictures(first, recorded)),
        ],
    )


def _pictures(shown: Sequence[Assessment], recorded: Recording | None) -> list[str]:
    moments = [(str(it.candidate), it.forecast.moments) for it in shown]
    real = recorded.moments if recorded else ()
    end = max(it[-1].seconds for _, it in [*moments, *([("", real)] if real else [])])
    workers = [Series(name, [(it.seconds, it.workers) for it in of], "step") for name, of in moments]
    waiting = [Series(name, [(it.seconds, it.ready) for it in of], "step") for name, of in moments]
    times = [Series(str(it.candidate), _longest(it.forecast, end), "dots") for it in shown]
    if real:
        workers.append(
            Series("recorded", [(it.seconds, it.workers) for it in real], "step", dashed=True, colour=RECORDED)
        )
        waiting.append(
            Series("recorded", [(it.seconds, it.ready) for it in real], "step", dashed=True, colour=RECORDED)
        )
    late = "The longest of those that were submitted at that time."
    return [
        chart("Workers", "alive", workers, end=end),
        chart("Queue", "tasks waiting", waiting, end=end),
        chart("Time to result", "s, by time of submission", times, end=end, note=late),
    ]


def _longest(forecast: Forecast, end: float) -> list[Point]:
    bins: dict[int, float] = {}
    for arrived, ended in zip(forecast.arrived, forecast.ended, strict=True):
        at = int(arrived / end * BINS)
        if ended - arrived > bins.get(at, 0.0) and isfinite(ended):
            bins[at] = ended - arrived
    return [(at * end / BINS, took) for at, took in sorted(bins.items())]
