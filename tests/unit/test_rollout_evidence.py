"""The two p-values, against scipy, and against what a p-value promises."""

import random
from itertools import pairwise

import pytest
from scipy import integrate, stats

from essaim.rollout.evidence import at_least, chance_of_durations, chance_of_failures


def melded(old_failed: int, old_ended: int, new_failed: int, new_ended: int, margin: float) -> float:
    """The same definition, by adaptive quadrature."""
    old = stats.beta(old_failed + 1, old_ended - old_failed)
    new = stats.beta(new_failed, new_ended - new_failed + 1)
    quantiles = (1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.5, 0.9)
    inner = [*old.ppf(quantiles), *old.isf(quantiles), *(new.ppf(quantiles) - margin), *(new.isf(quantiles) - margin)]
    points = sorted({0.0, 1 - margin, *(point for point in inner if 0 < point < 1 - margin)})
    parts = [
        integrate.quad(lambda rate: old.pdf(rate) * new.cdf(rate + margin), low, high, epsabs=0, epsrel=1e-8)[0]
        for low, high in pairwise(points)
    ]
    return float(sum(parts) + old.sf(1 - margin))


def drawn(rng: random.Random) -> tuple[int, int, int, int, float]:
    old_ended, new_ended = int(10 ** rng.uniform(0, 4)), int(10 ** rng.uniform(0, 3))
    old_rate = rng.choice([0, 0.001, 0.01, 0.05, 0.3])
    new_rate = old_rate + rng.choice([0, 0.01, 0.05, 0.2, 0.6])
    old_failed = sum(rng.random() < old_rate for _ in range(old_ended))
    new_failed = sum(rng.random() < new_rate for _ in range(new_ended))
    return old_failed, old_ended, new_failed, new_ended, rng.choice([0.001, 0.01, 0.05, 0.3])


@pytest.mark.filterwarnings("ignore")  # of the quadrature, where nothing is left to add
def test_failures_are_weighed_as_defined() -> None:
    rng = random.Random(1)
    for counts in (drawn(rng) for _ in range(60)):
        if counts[2] and counts[0] < counts[1]:
            assert chance_of_failures(*counts) == pytest.approx(melded(*counts), rel=0.01, abs=1e-12), counts


def test_without_a_margin_failures_are_weighed_by_fishers_exact_test() -> None:
    rng = random.Random(2)
    for old_failed, old_ended, new_failed, new_ended, _ in (drawn(rng) for _ in range(150)):
        table = [[new_failed, new_ended - new_failed], [old_failed, old_ended - old_failed]]
        fisher = float(stats.fisher_exact(table, alternative="greater")[1])
        chance = chance_of_failures(old_failed, old_ended, new_failed, new_ended, 0.0)
        assert chance == pytest.approx(fisher, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize(("old_ended", "new_ended"), [(990, 10), (100, 10), (500, 50), (150, 50), (50, 50)])
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.01, 0.05, 0.2, 0.5])
def test_a_release_at_the_limit_is_not_blamed_more_often_than_said(old_ended: int, new_ended: int, rate: float) -> None:
    """Exactly, by adding up the probabilities of all outcomes that count."""
    margin, wrong = 0.01, dict.fromkeys((0.25, 0.005, 0.0005, 0.00005), 0.0)
    for old_failed in range(old_ended + 1):
        weight = stats.binom.pmf(old_failed, old_ended, rate)
        if weight < 1e-9:
            continue
        for level in wrong:
            low, high = 1, new_ended + 1  # the fewest failures that count, by bisection
            while low < high:
                middle = (low + high) // 2
                if chance_of_failures(old_failed, old_ended, middle, new_ended, margin) <= level:
                    high = middle
                else:
                    low = middle + 1
            wrong[level] += weight * stats.binom.sf(low - 1, new_ended, rate + margin)
    assert all(found <= level for level, found in wrong.items()), wrong


def test_a_tail_of_the_binomial_is_exact() -> None:
    rng = random.Random(3)
    for _ in range(500):
        n, p = int(10 ** rng.uniform(0, 4)), rng.choice([0.0, 1e-4, 0.01, 0.5, 0.97, 1.0])
        k = rng.randint(0, n)
        assert at_least(k, n, p) == pytest.approx(float(stats.binom.sf(k - 1, n, p)), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("digits", [15, 1, 0])
def test_durations_are_compared_by_mann_and_whitney(digits: int) -> None:
    rng = random.Random(4)
    for _ in range(50):
        old = [round(rng.lognormvariate(0, 1), digits) for _ in range(rng.randint(5, 400))]
        new = [round(rng.lognormvariate(0.3, 1), digits) for _ in range(rng.randint(5, 60))]
        slower = [each / 1.2 for each in new]
        theirs = stats.mannwhitneyu(slower, old, alternative="greater", method="asymptotic").pvalue
        assert chance_of_durations(old, new, 0.2) == pytest.approx(float(theirs), rel=1e-9)


@pytest.mark.parametrize(("old_count", "new_count"), [(10, 10), (30, 10), (100, 6), (500, 10), (20, 20)])
def test_where_it_counts_the_normal_approximation_blames_less_than_the_exact_test(
    old_count: int, new_count: int
) -> None:
    old, most = list(range(old_count)), old_count * new_count
    for total in range(most * 3 // 4, most + 1):
        above, rest = divmod(total, old_count)  # so many of the new above all the old, one in between, the others below
        places = [*[old_count] * above, *[rest - 0.5] * (above < new_count), *[-1] * (new_count - above - 1)]
        new = [place + number / 1000 for number, place in enumerate(places)]  # no two alike
        exact = float(stats.mannwhitneyu(new, old, alternative="greater", method="exact").pvalue)
        if exact < 0.0005:
            assert chance_of_durations(old, new, 0.0) >= exact


def test_a_job_that_still_runs_counts_as_longer_than_what_it_has_outlasted_and_no_more() -> None:
    ended = (1.0, 2.0, 3.0, 4.0) * 5
    fine = chance_of_durations(ended, ended, 0.2)
    young = chance_of_durations(ended, ended, 0.2, (), (0.1,) * 20)
    old = chance_of_durations(ended, ended, 0.2, (), (9.0,) * 20)
    outlasted = chance_of_durations(ended, (*ended, *(9.0,) * 20), 0.2)
    assert old < young
    assert young > 0.5
    assert fine > 0.5
    assert old == pytest.approx(outlasted, rel=0.5)
    assert old < 0.01


def test_a_job_that_still_runs_is_no_sign_when_the_old_release_has_such_too() -> None:
    ended, running = (1.0, 2.0, 3.0, 4.0) * 5, (9.0,) * 20
    assert chance_of_durations(ended, ended, 0.0, running, running) == pytest.approx(0.5, abs=0.01)


def test_nothing_to_compare_is_no_sign() -> None:
    assert chance_of_failures(0, 0, 5, 5, 0.01) == 1
    assert chance_of_failures(5, 5, 0, 0, 0.01) == 1
    assert chance_of_durations((), (1.0,), 0.2) == 1
    assert chance_of_durations((1.0,), (), 0.2) == 1
    assert chance_of_durations((1.0,) * 9, (1.2,) * 9, 0.2) == 1
