"""Parse times and rates: `90s`, `1h30m`, `lognormal:2s`, `5/s`."""

import math
import re
from collections.abc import Callable
from random import Random

from essaim.planning.errors import PlanningError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|min|s|m|h|d)")
SPREAD = 0.8
"""The default standard deviation of the logarithm of a lognormal time."""


def seconds(text: str) -> float:
    """`1.5`, `200ms`, `10m`, `1h30m`. Raises `PlanningError`."""
    written = text.strip().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", written):
        return float(written)
    pieces = _PIECE.findall(written)
    if not pieces or "".join(map("".join, pieces)) != written:
        raise PlanningError(f"{text!r} is not a time; write it like 90s, 10m or 1h30m")
    return sum(float(number) * UNITS[unit] for number, unit in pieces)


def per_second(text: str) -> float:
    """`5/s`, `300/min`, `20/h`, or just `5`, which is per second. Raises `PlanningError`."""
    number, _, unit = text.strip().partition("/")
    try:
        rate = float(number) / UNITS[unit.strip() or "s"]
    except (ValueError, KeyError):
        rate = math.nan
    if not (math.isfinite(rate) and rate >= 0):
        raise PlanningError(f"{text!r} is not a rate; write it like 5/s, 300/min or 20/h")
    return rate


def distribution(text: str) -> Callable[[Random], float]:
    """A distribution of times: `2s` (constant), `exponential:2s`, `lognormal:2s` or `lognormal:2s,0.5`; the time is the mean.

    Raises `PlanningError`.
    """
    kind, colon, rest = text.partition(":")
    if not colon:
        kind, rest = "constant", text
    mean_text, _, spread_text = rest.partition(",")
    mean = seconds(mean_text)
    if kind == "constant" and not spread_text:
        return lambda _: mean
    if kind == "exponential" and not spread_text:
        return lambda random: random.expovariate(1.0) * mean
    if kind == "lognormal" and mean > 0 and re.fullmatch(r"(\d+(\.\d+)?)?", spread_text):
        spread = float(spread_text or SPREAD)
        middle = math.log(mean) - spread**2 / 2
        return lambda random: random.lognormvariate(middle, spread)
    raise PlanningError(f"{text!r} is not a distribution of times; write 2s, exponential:2s or lognormal:2s,{SPREAD}")
