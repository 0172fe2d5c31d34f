"""The page that compares two recorded runs."""

from essaim.runs import page
from essaim.runs.figures import Percentiles
from essaim.runs.measured import Measured
from essaim.runs.run_page import LATENCIES, lead, seconds, times_table
from essaim.runs.run_pictures import compared
from essaim.units import size

Row = tuple[str, str, str, str]


def comparison_page(first: Measured, second: Measured) -> str:
    """`first` is A, in the first colour of each chart; `second` is B."""
    runs = [(f"A  {first.name}", first), (f"B  {second.name}", second)]
    return page.page(
        f"Load: {first.name} and {second.name}",
        f"A: {lead(first)} B: {lead(second)}",
        [
            *(page.notice([f"{name}: {it}" for it in run.recording.run.faults], bad=True) for name, run in runs),
            *(page.notice([f"{name}: {it}" for it in run.warnings]) for name, run in runs),
            page.table("In numbers", ("", "A", "B", "B is"), differences(first, second)),
            page.charts(compared(runs)),
            times_table(runs),
        ],
    )


def differences(first: Measured, second: Measured) -> list[Row]:
    """Rows of name, A, B and the difference."""
    a, b = first.figures, second.figures
    rows: list[Row] = [("jobs", f"{a.jobs:,}", f"{b.jobs:,}", ""), *_states(first, second)]
    rows += _times("accept", a.accept, b.accept) + _times("result", a.result, b.result)
    rows.append(("longest queue", str(a.peak_queue), str(b.peak_queue), _ratio(a.peak_queue, b.peak_queue)))
    rows.append(("most workers", str(a.peak_workers), str(b.peak_workers), _ratio(a.peak_workers, b.peak_workers)))
    cost = (a.worker_seconds, b.worker_seconds)
    rows.append(("worker-seconds", f"{cost[0]:,.0f}", f"{cost[1]:,.0f}", _ratio(*cost)))
    rows.append(("of these idle", f"{a.waste:.0%}", f"{b.waste:.0%}", _ratio(a.waste, b.waste)))
    largest = [max((it.memory for it in run.footprints), default=0) for run in (first, second)]
    if all(largest):
        rows.append(("largest process", size(largest[0]), size(largest[1]), _ratio(*largest)))
    return rows


def _times(what: str, one: Percentiles | None, other: Percentiles | None) -> list[Row]:
    return [
        (
            f"time to {what}, {name}",
            seconds(one, name),
            seconds(other, name),
            _ratio(getattr(one, name, None), getattr(other, name, None)),
        )
        for name in LATENCIES
    ]


def _states(first: Measured, second: Measured) -> list[Row]:
    a, b = first.figures.states, second.figures.states
    return [(state, str(a.get(state, 0)), str(b.get(state, 0)), "") for state in sorted({*a, *b})]


def _ratio(a: float | None, b: float | None) -> str:
    """The difference in percent."""
    if not a or b is None:
        return ""
    change = round((b / a - 1) * 100)
    return "the same" if change == 0 else f"{abs(change):,} % {'more' if change > 0 else 'less'}"
