"""What is decided about a release, and what is said of it."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist

import pytest

from essaim.rollout.verdict import Decision, Outcomes, Rules, Verdict, judge, level, next_look, worth_a_look

RULES = Rules()


def outcomes(ended: int, failed: int = 0, slowdown: float = 1.0, running: tuple[float, ...] = ()) -> Outcomes:
    """With lognormal durations that are spread as evenly as can be, so that nothing here is chance."""
    count = ended - failed
    seconds = tuple(slowdown * math.exp(NormalDist().inv_cdf((each + 0.5) / count)) for each in range(count))
    return Outcomes(count, failed, seconds, running)


OLD = outcomes(500, 5)


@pytest.mark.parametrize("ended", [0, 1, 10, 49])
def test_too_few_jobs_is_wait_however_good_they_are(ended: int) -> None:
    verdict = judge(OLD, outcomes(ended, slowdown=0.1), RULES, look=1)
    assert verdict.decision is Decision.WAIT
    assert verdict.sentence == f"Wait: {ended} of at least 50 jobs of the new release have ended, 0 of them failed."


@pytest.mark.parametrize("ended", [0, 49])
def test_too_few_jobs_of_the_old_release_is_wait_too(ended: int) -> None:
    assert judge(outcomes(ended), outcomes(50), RULES, look=1).decision is Decision.WAIT


def test_enough_good_jobs_let_it_go_on() -> None:
    verdict = judge(OLD, outcomes(50), RULES, look=5)
    assert verdict.decision is Decision.ADVANCE
    assert verdict.sentence == (
        "Go on: 0 of 50 jobs of the new release failed (0.0 %), and 5 of 500 of the old one (1.0 %); "
        "jobs of the new release take 1 s, those of the old one 1 s (medians)."
    )


def test_a_release_that_fails_a_quarter_of_its_jobs_is_rolled_back_before_there_are_enough() -> None:
    verdict = judge(OLD, outcomes(20, 5), RULES, look=3)
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.sentence == (
        "Roll back: 5 of 20 jobs of the new release failed (25.0 %), and 5 of 500 of the old one (1.0 %); "
        "with at most 1 % more failures this happens less than once in 10,000 times."
    )


def test_a_release_that_is_twice_as_slow_is_rolled_back() -> None:
    verdict = judge(OLD, outcomes(60, slowdown=2.2), RULES, look=5)
    assert verdict.decision is Decision.ROLL_BACK
    assert "with at most 20 % more time this happens less than once in" in verdict.sentence


def test_what_may_be_chance_and_may_be_not_is_wait() -> None:
    some = judge(OLD, outcomes(50, 3), RULES, look=5)
    assert some.decision is Decision.WAIT
    assert some.sentence.endswith("that is chance, or more than the 1 % more failures that are allowed.")
    slow = judge(OLD, outcomes(50, slowdown=1.6), RULES, look=5)
    assert slow.decision is Decision.WAIT
    assert slow.sentence.endswith("that is chance, or more than the 20 % more time that is allowed.")


def test_more_jobs_settle_what_may_be_chance() -> None:
    assert judge(outcomes(2000, 20), outcomes(200, 2), RULES, look=6).decision is Decision.ADVANCE
    assert judge(outcomes(2000, 20), outcomes(200, 14), RULES, look=6).decision is Decision.ROLL_BACK


def test_while_many_still_run_it_waits_since_what_fails_is_the_last_to_end() -> None:
    verdict = judge(OLD, outcomes(50, running=(0.5,) * 20), RULES, look=5)
    assert verdict.decision is Decision.WAIT
    assert verdict.sentence == (
        "Wait: 20 of 70 jobs of the new release still run, and those that fail are the last to end."
    )


def test_it_waits_while_more_jobs_of_the_new_release_are_open_than_of_the_old_one() -> None:
    verdict = judge(OLD, outcomes(50, running=(0.5,) * 5), RULES, look=5)
    assert verdict.sentence == (
        "Wait: 5 of 55 jobs of the new release have failed or still run (9.1 %), and 5 of 500 of the old one (1.0 %)."
    )
    old = replace(OLD, running=(0.5,) * 50)
    assert judge(old, outcomes(50, running=(0.5,) * 5), RULES, look=5).decision is Decision.ADVANCE


def test_a_job_that_hangs_is_waited_for_though_all_others_are_well() -> None:
    longest = max(OLD.seconds)
    hanging = judge(OLD, outcomes(50, running=(longest * 1.3,)), RULES, look=5)
    assert hanging.decision is Decision.WAIT
    assert hanging.sentence.startswith("Wait: a job of the new release has been running for ")
    assert judge(OLD, outcomes(50, running=(longest * 1.1,)), RULES, look=5).decision is Decision.ADVANCE


def test_a_release_whose_jobs_do_not_end_is_rolled_back_for_being_slow() -> None:
    verdict = judge(OLD, outcomes(0, running=(30.0,) * 20), RULES, look=1)
    assert verdict.decision is Decision.ROLL_BACK
    assert "take unknown time, those of the old one" in verdict.sentence
    assert "20 of the new release still run" in verdict.sentence


def test_a_release_that_is_better_than_one_that_always_fails_goes_on() -> None:
    assert judge(outcomes(100, 100), outcomes(50, 25), RULES, look=1).decision is Decision.ADVANCE


def test_all_looks_together_stay_within_the_false_alarms_that_are_allowed() -> None:
    spent = 2 * sum(level(look, RULES) for look in range(1, 100_000))
    assert spent == pytest.approx(RULES.false_alarms, rel=0.001)
    assert spent < RULES.false_alarms


def test_the_same_evidence_counts_less_at_a_later_look() -> None:
    new = outcomes(20, 5)
    assert [judge(OLD, new, RULES, look).decision for look in (3, 1000)] == [Decision.ROLL_BACK, Decision.WAIT]


def test_looks_are_worth_it_when_there_is_half_as_much_again_and_when_there_are_enough() -> None:
    seen, looks = 0, []
    while seen < 200:
        looks.append(seen := next_look(seen, RULES))
    assert looks == [10, 15, 23, 35, 50, 75, 113, 170, 255]
    assert next_look(0, Rules(min_jobs=3)) == 3
    assert next_look(3, Rules(min_jobs=3)) == 10


def test_it_is_worth_a_look_also_when_the_jobs_have_ended_that_were_waited_for() -> None:
    open_then = judge(OLD, outcomes(50, running=(0.5,) * 20), RULES, look=5)
    assert not worth_a_look(outcomes(69, running=(0.5,)), open_then, RULES)
    assert worth_a_look(outcomes(70), open_then, RULES)
    assert worth_a_look(outcomes(75, running=(0.5,) * 20), open_then, RULES)
    assert not worth_a_look(outcomes(70), judge(OLD, outcomes(50), RULES, look=5), RULES)
    assert [worth_a_look(outcomes(ended), None, RULES) for ended in (9, 10)] == [False, True]


def test_the_numbers_are_those_of_the_sentence() -> None:
    verdict = judge(OLD, outcomes(50, 1), RULES, look=5)
    assert verdict.numbers["new_failed"] == 1
    assert verdict.numbers["new_ended"] == 50
    assert verdict.numbers["old_ended"] == 500
    assert verdict.numbers["level"] == level(5, RULES)
    assert "new_median_seconds" not in judge(OLD, outcomes(0), RULES, look=1).numbers


@dataclass(frozen=True)
class JobsSeen:
    start: float
    new: bool
    seconds: float
    fails: bool = False

    def ended(self, now: float) -> bool:
        return self.start + self.seconds <= now


def watched(jobs: Iterable[JobsSeen]) -> Verdict:
    """The last verdict of one step at which these jobs run."""
    jobs = tuple(jobs)
    seen, look, verdict = 0, 0, None
    for count, now in enumerate(sorted(job.start + job.seconds for job in jobs if job.new), start=1):
        if count >= next_look(seen, RULES):
            seen, look = count, look + 1
            old, new = (until(now, [job for job in jobs if job.new is which]) for which in (False, True))
            verdict = judge(old, new, RULES, look)
            if verdict.decision is not Decision.WAIT:
                break
    assert verdict is not None
    return verdict


def until(now: float, jobs: list[JobsSeen]) -> Outcomes:
    ended = [job for job in jobs if job.ended(now)]
    running = tuple(now - job.start for job in jobs if job.start <= now and not job.ended(now))
    well = tuple(job.seconds for job in ended if not job.fails)
    return Outcomes(len(well), len(ended) - len(well), well, running)


def coming(rng: random.Random, rate: float, count: int = 2000) -> Iterable[JobsSeen]:
    """Jobs of ten seconds at the median, of which one in ten goes to the new release. All start when they come."""
    return (JobsSeen(each / rate, rng.random() < 0.1, 10 * rng.lognormvariate(0, 1)) for each in range(count))


@pytest.mark.parametrize("late", [0.0, 20.0])
def test_workers_that_start_late_are_no_sign_for_or_against_their_release(late: float) -> None:
    """Few of its jobs have ended then, and only short ones."""
    rng = random.Random(7)
    ends = [
        [
            watched(
                replace(job, start=max(job.start, late), seconds=job.seconds * slowdown) if job.new else job
                for job in coming(rng, 20)
            ).decision
            for _ in range(20)
        ]
        for slowdown in (1.0, 2.0)
    ]
    assert ends[0].count(Decision.ADVANCE) >= 19, ends
    assert ends[1].count(Decision.ROLL_BACK) >= 19, ends


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_jobs_that_fail_only_after_many_tries_are_waited_for(share: float) -> None:
    """When enough have ended, those that will fail still run: all that have ended are well."""
    rng = random.Random(8)
    ends = [
        watched(
            replace(job, seconds=40.0, fails=True) if job.new and rng.random() < share else job
            for job in coming(rng, 100)
        ).decision
        for _ in range(20)
    ]
    assert Decision.ADVANCE not in ends
    assert ends.count(Decision.ROLL_BACK) >= (18 if share == 0.2 else 5), ends
