"""How likely is what was seen, if the new release is as bad as is just allowed: two p-values, by the standard library alone.

Both are one-sided: small means that the new release is worse than allowed, and that chance is no good excuse.
Why these two: docs/decisions/0018-rollout.md. scipy is their oracle in tests/unit/test_rollout_evidence.py.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain

_NEGLIGIBLE = math.exp(-40)  # of the peak of a density: well below any level that is ever asked for


@lru_cache(maxsize=65536)  # a simulation asks the same again and again
def chance_of_failures(old_failed: int, old_ended: int, new_failed: int, new_ended: int, margin: float) -> float:
    """The p-value of: the new release fails at most `margin` (a share of all jobs) more often than the old one.

    The melded binomial test (Fay, Proschan, Brittain, Biometrics 71, 2015). What the old jobs say about their failure rate is
    Beta(failed + 1, ended - failed), what the new ones say is Beta(failed, ended - failed + 1): the cautious ends of Clopper
    and Pearson's interval. The p-value is the probability that the second is at most `margin` above the first. With margin 0
    that is Fisher's exact test.
    """
    if not new_failed or old_failed == old_ended:
        return 1.0
    a, b = old_failed + 1, old_ended - old_failed
    # On the scale of log-odds a beta density decays on both sides, and the trapezoid rule is exact.
    peak = math.log(a / b)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    top = math.exp(scale + _log_density(peak, a, b))
    step = _width(old_failed, old_ended, new_failed, new_ended, margin) / 3
    total = 0.0
    for index, direction in ((0, 1), (-1, -1)):
        density = top
        while density > top * _NEGLIGIBLE:
            odds = peak + index * step
            density = math.exp(scale + _log_density(odds, a, b))
            total += density * at_least(new_failed, new_ended, _share(odds) + margin)
            index += direction
    return min(1.0, total * step)


def _log_density(odds: float, a: float, b: float) -> float:
    """Of a beta distribution at these log-odds, without its constant."""
    return -a * _log1p_exp(-odds) - b * _log1p_exp(odds)


def _log1p_exp(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0


def _width(old_failed: int, old_ended: int, new_failed: int, new_ended: int, margin: float) -> float:
    """The narrower of both distributions' standard deviations, in log-odds of the old release's failure rate."""
    a, b = old_failed + 1, old_ended - old_failed
    old = math.sqrt((a + b) / (a * b))
    a, b = new_failed, new_ended - new_failed + 1
    deviation = math.sqrt(a * b / (a + b + 1)) / (a + b)
    share = a / (a + b) - margin
    return min(old, deviation / (share * (1 - share))) if share > 0 else old


def at_least(k: int, n: int, p: float) -> float:
    """The probability of `k` or more successes in `n` tries, each with probability `p`."""
    if k <= 0 or p >= 1:
        return 1.0
    if p <= 0 or k > n:
        return 0.0
    return _upper_tail(k, n, p) if k > n * p else 1 - _upper_tail(n - k + 1, n, 1 - p)


def _upper_tail(k: int, n: int, p: float) -> float:
    """The same for `k` above the mean, where each term is smaller than the one before it."""
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    term, total, odds = math.exp(log), 0.0, p / (1 - p)
    while term > total * 1e-16:
        total += term
        term *= (n - k) / (k + 1) * odds
        k += 1
    return total


def chance_of_durations(
    old: Sequence[float],
    new: Sequence[float],
    margin: float,
    old_running: Sequence[float] = (),
    new_running: Sequence[float] = (),
) -> float:
    """The p-value of: jobs of the new release take at most `margin` (0.2: a fifth) longer than those of the old one.

    Gehan's test, which is Mann and Whitney's with jobs that still run: of these it is known that they take longer than they
    have run. Only the order of durations counts, never their sizes. The variance is that of drawing lots for who gets which
    release, so ties and the likeness of jobs that were asked together need no correction. Normal approximation, with
    continuity correction: in the tail it errs on the side of the new release.
    """
    ended = sorted(chain(old, scaled := [x / (1 + margin) for x in new]))
    running = sorted(chain(old_running, scaled_running := [x / (1 + margin) for x in new_running]))
    every = len(ended) + len(running)
    count = len(new) + len(new_running)
    if count == 0 or count == every:
        return 1.0
    ours = sum(_scores(scaled, scaled_running, ended, running))
    if running or len(set(ended)) < every:
        squares = sum(score * score for score in _scores(ended, running, ended, running))
    else:  # the usual case, and as good as free: the scores are 1 - every, 3 - every, … every - 1
        squares = every * (every * every - 1) // 3
    variance = count * (every - count) * squares / (every * (every - 1))
    if not variance:
        return 1.0
    return 0.5 * math.erfc((ours - 1) / math.sqrt(2 * variance))


def _scores(
    ended: Iterable[float], running: Iterable[float], all_ended: Sequence[float], all_running: Sequence[float]
) -> Iterable[int]:
    """For each job: how many are known to be shorter, less how many are known to be longer."""
    every = len(all_ended) + len(all_running)
    for seconds in ended:
        shorter = bisect_left(all_ended, seconds)
        not_longer = bisect_right(all_ended, seconds) + bisect_left(all_running, seconds)
        yield shorter - (every - not_longer)
    for seconds in running:
        yield bisect_right(all_ended, seconds)
