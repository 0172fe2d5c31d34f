"""What was put into a simulation is read off what comes out of it, as off a recorded run."""

from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite

import pytest
import yaml

from essaim.autoscaler.policy import HPA_SYNC_SECONDS, default_path, load
from essaim.planning.calibration import SHOWN_SECONDS, calibrate
from essaim.planning.comparison import compare
from essaim.planning.errors import RecordingError
from essaim.planning.forecast import USUAL_HANDOVER, ClusterModel
from essaim.planning.recording import JobTimes, Moment, Recording, Run
from essaim.planning.simulation import Simulation

OWN = load(default_path())
RUN = Run(
    shape="burst",
    server="",
    started=datetime(2026, 1, 1, tzinfo=UTC),
    scaledobject=yaml.safe_load(default_path().read_text(encoding="utf-8")),
)


def recorded(
    start_up: float,
    phase: float,
    *,
    cluster: bool = False,
    speed: float = 1.0,
    handover: float = 0.01,
    sync_seconds: float = HPA_SYNC_SECONDS,
    every: float = 0.5,
) -> Recording:
    """Two bursts, the second after all workers have left; seen twice a second. In a cluster pods are ready at once."""
    arrivals = [(at, (2.0,)) for at in (4.3, 4.3 + 200.0) for _ in range(100)]
    shown = SHOWN_SECONDS if cluster else 0.0
    model = ClusterModel(lambda: start_up, handover=handover, shown_every=shown, sync_seconds=sync_seconds, speed=speed)
    told = Simulation(OWN, model, arrivals, phases=(0.4, phase), every=every).run()
    hidden = {"replicas_desired": None, "replicas_ready": None}
    moments = [replace(it, **({"replicas_ready": it.replicas_desired} if cluster else hidden)) for it in told.moments]
    jobs = [
        JobTimes(str(index), at, at, ended - works[0], ended, "succeeded", 1)
        for index, ((at, works), ended) in enumerate(zip(arrivals, told.ended, strict=True))
        if isfinite(ended)
    ]
    return Recording(RUN.model_copy(update={"speed": speed}), tuple(moments), tuple(jobs))


@pytest.mark.parametrize("start_up", [0.5, 2.0, 6.0])
@pytest.mark.parametrize("cluster", [False, True])
def test_the_start_up_is_found(start_up: float, cluster: bool) -> None:
    assert calibrate(recorded(start_up, 0.3, cluster=cluster), OWN).start_up == pytest.approx(start_up, abs=0.6)


@pytest.mark.parametrize("handover", [0.0, 0.01, 0.5])
def test_what_workers_lose_between_two_tasks_is_found(handover: float) -> None:
    assert calibrate(recorded(1.0, 0.3, handover=handover), OWN).handover == pytest.approx(handover, abs=0.01)


def test_a_worker_that_waits_for_tasks_loses_nothing_between_them() -> None:
    """Jobs that come evenly: some wait at every look, and workers too in between."""
    arrivals = [(at * 0.7, (1.0,)) for at in range(400)]
    told = Simulation(OWN, ClusterModel(lambda: 1.0), arrivals, every=1.0).run()
    jobs = tuple(
        JobTimes(str(at), came, came, ended - 1.0, ended, "succeeded", 1)
        for at, ((came, _), ended) in enumerate(zip(arrivals, told.ended, strict=True))
    )
    assert calibrate(Recording(RUN, told.moments, jobs), OWN).handover == pytest.approx(0.01, abs=0.01)


def test_looks_that_got_no_answer_say_nothing_of_it() -> None:
    recording = recorded(1.0, 0.3, cluster=True, handover=0.5)
    moments = recording.moments
    held = tuple(
        replace(moments[at - at % 4], seconds=it.seconds, replicas_desired=it.replicas_desired)
        for at, it in enumerate(moments)
    )
    assert calibrate(replace(recording, moments=held), OWN).handover == pytest.approx(0.5, abs=0.1)


def test_in_a_cluster_the_start_up_of_each_worker_is_found() -> None:
    times = [3.0, 9.0, 6.0, 6.0, 6.0, 12.0, 12.0, 12.0, 12.0, 12.0]
    left = iter(times)
    model = ClusterModel(lambda: next(left), shown_every=SHOWN_SECONDS)
    told = Simulation(OWN, model, [(4.3, (2.0,))] * 300, phases=(0.4, 0.3), every=0.5).run()
    found = calibrate(Recording(RUN, told.moments, ()), OWN).start_ups
    assert sorted(found) == [pytest.approx(it, abs=0.6) for it in sorted(times)]


def test_a_worker_of_before_that_is_still_seen_is_not_one_that_was_just_wanted() -> None:
    counts = ((0, 1), (0, 1), (1, 1), (1, 0), (1, 0), (1, 1), (1, 1))
    moments = tuple(Moment(10.0 * at, 5, 0, there, 0, wanted, 0) for at, (wanted, there) in enumerate(counts))
    assert calibrate(Recording(RUN, moments, ()), OWN).start_ups == (30.0,)


def test_of_jobs_of_several_tasks_it_is_not_known() -> None:
    recording = recorded(1.0, 0.3, handover=0.5)
    jobs = tuple(replace(job, tasks=2) for job in recording.jobs)
    assert calibrate(replace(recording, jobs=jobs), OWN).handover == USUAL_HANDOVER


def test_a_slow_cluster_that_is_seldom_looked_at_is_predicted_too() -> None:
    """Pods that are ready long before their workers work, half a second between two tasks, a look every seven seconds."""
    told = compare(recorded(20.0, 0.3, cluster=True, handover=0.5, every=7.0))
    assert told.replicas_error < 0.1
    assert abs(told.p95_error) < 0.1


@pytest.mark.parametrize(
    ("before", "after", "hpa"),
    [(0, 5, False), (5, 5, False), (9, 0, False), (0, 7, True), (5, 9, True), (9, 7, True)],
)
def test_who_took_a_step_is_known(before: int, after: int, hpa: bool) -> None:
    """With five that are woken at once: seven from none means that the HPA has looked already."""
    policy = replace(OWN, min_replicas=5, idle_replicas=0)
    moments = [
        Moment(float(at), 0, 0, 0, 0, count, count) for at, count in ((0, before), (1, before), (2, after), (3, after))
    ]
    phases = calibrate(Recording(RUN, tuple(moments), ()), policy).phases
    assert phases[1] == pytest.approx(1 - 1.5 / HPA_SYNC_SECONDS if hpa else 0.5)


def test_an_hpa_that_is_slower_than_it_says_is_found_out() -> None:
    """After some minutes a little more for each look is another phase."""
    recording = recorded(1.0, 0.3, cluster=True, sync_seconds=15.15)
    assert calibrate(recording, OWN).sync_seconds == pytest.approx(15.15, abs=0.03)
    assert compare(recording).replicas_error < 0.03


@pytest.mark.parametrize("phase", [0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("cluster", [False, True])
def test_the_phase_of_the_hpa_is_found(phase: float, cluster: bool) -> None:
    seen = calibrate(recorded(1.0, phase, cluster=cluster), OWN)
    _, found = seen.phases
    assert min(abs(found - phase), 1 - abs(found - phase)) * HPA_SYNC_SECONDS < 0.8


@pytest.mark.parametrize("speed", [1.0, 5.0])
@pytest.mark.parametrize("cluster", [False, True])
def test_a_simulated_run_is_predicted_to_the_point(cluster: bool, speed: float) -> None:
    told = compare(recorded(1.2, 0.45, cluster=cluster, speed=speed))
    assert told.replicas_error < 0.03
    assert abs(told.p95_error) < 0.05


def test_a_run_by_other_rules_is_told_by_those() -> None:
    spec = {**RUN.scaledobject["spec"], "maxReplicaCount": 3}
    recording = recorded(1.0, 0.3)
    other = RUN.model_copy(update={"scaledobject": {**RUN.scaledobject, "spec": spec}})
    told = compare(replace(recording, run=other))
    assert max(moment.workers for moment in told.forecast.moments) == 3
    assert told.replicas_error > 0.2


def test_a_run_without_a_worker_has_nothing_to_compare() -> None:
    recording = Recording(RUN, (Moment(0.0, 0, 0, 0, 0), Moment(1.0, 0, 0, 0, 0)), ())
    with pytest.raises(RecordingError, match="no worker"):
        compare(recording)


def test_a_run_without_moments_says_so() -> None:
    with pytest.raises(RecordingError, match="no samples of queue and workers"):
        calibrate(Recording(RUN, (), ()), OWN)
