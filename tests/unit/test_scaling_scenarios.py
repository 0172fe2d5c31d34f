"""What was measured on a real KEDA, told again by arithmetic: a queue, workers that take one task at a time, and our policy.

Time goes in tenths of a second. The management API shows the queue as it was up to 5 s ago, AMQP as it is now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

import pytest

from essaim.autoscaler.autoscaler import Autoscaler
from essaim.autoscaler.formula import Formula
from essaim.autoscaler.policy import Policy, default_path, load
from essaim.autoscaler.triggers import Sample

OWN = load(default_path())
TRIGGERS = ("waiting", "total", "ready")
UNROUNDED = replace(OWN, formula=Formula("max(total - ready, 0) + max(ready, waiting) / 5", TRIGGERS))
HTTP_AGE, STEP, WORKER_START = 5.0, 0.1, 0.8


@dataclass
class Bed:
    """Tasks of one length. `tick`: when the management first looks at the queue, of its 5 s. `outage`: the broker is away
    between these times, and for 5 s more its management shows nothing in the queue."""

    policy: Policy
    tasks: int
    seconds: float
    first_sync: float
    tick: float = 2.0
    outage: tuple[float, float] = (-HTTP_AGE, -HTTP_AGE)
    now: float = 0.0
    starts: list[float] = field(default_factory=list)
    running: list[float] = field(default_factory=list)
    counts: list[tuple[float, int]] = field(default_factory=list)
    given_back: int = 0

    def run(self, until: float) -> "Bed":
        autoscaler = Autoscaler(self.policy, first_sync=self.first_sync)
        shown = (0, 0)
        while self.now < until:
            self._work()
            if round((self.now - self.tick) % HTTP_AGE, 1) in (0, HTTP_AGE) and not self._away():
                shown = (self.tasks + len(self.running), self.tasks)
            if self.now >= autoscaler.due:
                replicas = len(self.starts)
                metrics = self._metrics(*shown)
                self._scale(autoscaler.observe(Sample(self.now, metrics, replicas, replicas)).replicas)
            self.now = round(self.now + STEP, 1)
        return self

    def steps(self) -> list[int]:
        return [count for count, _ in groupby(count for _, count in self.counts)]

    def when(self, count: int) -> float:
        return next(at for at, reached in self.counts if reached == count)

    def _away(self) -> bool:
        return self.outage[0] <= self.now < self.outage[1]

    def _metrics(self, total: int, ready: int) -> Mapping[str, float | None]:
        if self._away():
            return {"waiting": None, "total": None, "ready": None}
        if self.outage[1] <= self.now < self.outage[1] + HTTP_AGE:
            total = ready = 0
        return {"waiting": float(self.tasks), "total": float(total), "ready": float(ready)}

    def _work(self) -> None:
        self.running = [end for end in self.running if end > self.now]
        awake = sum(start <= self.now for start in self.starts)
        while self.tasks and len(self.running) < awake and not self._away():
            self.tasks -= 1
            self.running.append(self.now + self.seconds)

    def _scale(self, replicas: int) -> None:
        self.starts += [self.now + WORKER_START] * (replicas - len(self.starts))
        del self.starts[replicas:]
        while len(self.running) > replicas:  # the deletion cost spares the busy as long as there are others
            self.running.pop()
            self.tasks += 1
            self.given_back += 1
        self.counts.append((self.now, replicas))


def test_sixty_short_tasks_go_one_five_ten_and_back_to_none() -> None:
    """Measured: 1 worker at 0.2 s, 5 at 11 s, 10 at 27 s, then 0."""
    bed = Bed(replace(OWN, cooldown_period=10), tasks=60, seconds=2, first_sync=11).run(60)
    assert bed.steps() == [1, 5, 10, 0]
    assert bed.when(1) < 1
    assert bed.when(5) == 11
    assert bed.when(10) == 26
    assert bed.tasks == bed.given_back == 0


@pytest.mark.parametrize("tick", range(5))
@pytest.mark.parametrize("first_sync", [1, 4, 8, 14])
def test_a_burst_goes_the_same_way_wherever_the_clocks_stand(tick: float, first_sync: float) -> None:
    bed = Bed(replace(OWN, cooldown_period=10), tasks=60, seconds=2, first_sync=first_sync, tick=tick).run(90)
    first, second, third, *_, last = bed.steps()
    assert (first, second, last) == (1, 5, 0)
    assert third in range(8, 11)
    assert bed.tasks == bed.given_back == 0


def test_workers_stay_for_the_whole_cooldown_and_leave_within_a_few_polls() -> None:
    work_ends = Bed(OWN, tasks=10, seconds=1, first_sync=7).run(200)
    last_active = max(at for at, count in work_ends.counts if count)
    assert work_ends.steps()[-1] == 0
    assert work_ends.when(0) - last_active <= 1.1
    assert 60 < work_ends.when(0) < 60 + 15 + HTTP_AGE


def test_busy_workers_are_never_scaled_away_while_their_tasks_last() -> None:
    """Ten long tasks, more than any window and cooldown: the formula pays for what is in flight."""
    bed = Bed(OWN, tasks=10, seconds=400, first_sync=3).run(600)
    assert bed.given_back == 0
    assert max(bed.steps()) >= 5


def test_one_task_behind_two_long_ones_gets_a_worker_of_its_own() -> None:
    """2.2 workers are 2 to the HPA, which lets a tenth be; so the formula rounds up."""
    assert Bed(OWN, tasks=3, seconds=400, first_sync=3).run(60).steps() == [1, 2, 3]
    assert Bed(UNROUNDED, tasks=3, seconds=400, first_sync=3).run(60).steps() == [1, 2]


def with_window(seconds: int) -> Policy:
    assert OWN.scale_down is not None
    return replace(UNROUNDED, cooldown_period=10, max_replicas=5, scale_down=replace(OWN.scale_down, window=seconds))


def test_an_outage_freezes_the_count_and_a_window_shorter_than_it_costs_a_busy_worker_afterwards() -> None:
    """Measured, unrounded: 72 s away under three 150-second tasks, window 30 s: 2 throughout, then 2, 1, 2.
    Here the HPA looks 1 s after the return, while the management still shows an empty queue."""
    bed = Bed(with_window(30), tasks=3, seconds=150, first_sync=8, outage=(40, 112)).run(140)
    assert {count for at, count in bed.counts if 40 <= at < 112} == {2}
    assert bed.steps() == [1, 2, 1, 2]
    assert bed.given_back == 1


def test_a_window_longer_than_the_outage_spares_it() -> None:
    bed = Bed(with_window(300), tasks=3, seconds=150, first_sync=8, outage=(40, 112)).run(140)
    assert bed.steps() == [1, 2]
    assert bed.given_back == 0


@pytest.mark.parametrize(("cooldown", "given_back"), [(60, 3), (300, 0)])
def test_so_does_a_cooldown_that_is_longer_where_nothing_waits(cooldown: int, given_back: int) -> None:
    """KEDA was active last when the broker went away, and its first look sees an empty queue."""
    policy = replace(with_window(300), formula=OWN.formula, cooldown_period=cooldown)
    bed = Bed(policy, tasks=3, seconds=150, first_sync=8, outage=(40, 112)).run(140)
    assert bed.given_back == given_back


def test_counting_only_what_waits_would_end_busy_workers() -> None:
    """The reason for the formula: one AMQP trigger and nothing else."""
    only = tuple(trigger for trigger in OWN.triggers if trigger.protocol == "amqp")
    bed = Bed(replace(OWN, formula=None, triggers=only), tasks=10, seconds=400, first_sync=3).run(600)
    assert bed.given_back > 0
