"""`essaim rollout odds`: how often simulated rollouts err, as a table."""

from collections.abc import Sequence

from essaim.cli.errors import CliError
from essaim.cli.jobs.progress import progress
from essaim.cli.output import document, table
from essaim.rollout.simulation import COLUMNS, cases, row, simulate
from essaim.rollout.verdict import Rules


def show(rules: Rules, steps: Sequence[int], rollouts: int, seed: int, *, as_json: bool) -> None:
    if not all(1 <= percent <= 100 for percent in steps) or list(steps) != sorted(set(steps)):
        raise CliError("each step must give more than the one before, and at most 100")
    rows = []
    with progress() as bars:
        bar = bars.add_task("rolling out", total=len(cases(rules)), note="")
        for odds in simulate(rules, steps, rollouts, seed):
            rows.append(row(odds))
            bars.advance(bar)
    if as_json:
        return document({"odds": [dict(zip(COLUMNS, each, strict=True)) for each in rows]})
    table(COLUMNS, rows, right=COLUMNS[1:])
