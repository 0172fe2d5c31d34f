"""Sixty tasks at once: as many workers as `essaim.autoscaler` says, and then none."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise

from essaim.autoscaler.hpa import Hpa
from essaim.autoscaler.policy import HPA_SYNC_SECONDS, default_path, load
from essaim.autoscaler.triggers import HpaMetric
from tests.cluster.access import Cluster
from tests.cluster.timeline import Moment, Timeline

JOBS, TASK_SECONDS = 60, 2


def test_a_burst_is_worked_off_by_as_many_workers_as_predicted(cluster: Cluster, timeline: Timeline) -> None:
    timeline.until(lambda it: it.started == 0 and it.workers == 0)

    with cluster.api() as api, ThreadPoolExecutor(JOBS) as pool:
        request = {"words": ["a"], "text": "a", "pause_seconds": TASK_SECONDS}
        answers = list(pool.map(lambda _: api.post("/v1/jobs", json=request), range(JOBS)))
        assert {answer.status_code for answer in answers} == {202}
        timeline.until(lambda it: it.workers >= 5)
        timeline.until(lambda it: it.ready == 0 and it.unacked == 0)
        states = [api.get(answer.headers["location"]).json()["state"] for answer in answers]
    assert states == ["succeeded"] * JOBS
    timeline.until(lambda it: it.started == 0 and it.workers == 0)

    syncs = compare(timeline.moments)
    print("\n  seconds formula replicas predicted")
    for seconds, formula, replicas, predicted in syncs:
        print(f"  {seconds:>7} {formula:>7} {replicas:>8} {predicted:>9}")
    largest = max(abs(replicas - predicted) for _, _, replicas, predicted in syncs)
    print(f"  largest difference: {largest}")
    assert largest <= 1  # the metric may change between our look and the HPA's


def compare(moments: list[Moment]) -> list[tuple[float, float, int, int]]:
    """For each look of the HPA: when, the formula's value just before, the replicas after it, and what ours makes of it.

    The HPA looks every 15 seconds and a little, counted from its first step; from N to 0 is KEDA's, not its.
    """
    policy = load(default_path())
    hpa, syncs = Hpa(policy), []
    first = next(after.seconds for before, after in pairwise(moments) if 0 < before.started < after.started)
    for number in count():
        now = first + HPA_SYNC_SECONDS * number
        before = [it for it in moments if it.seconds < now - 0.2][-1]
        after = next((it for it in moments if it.seconds >= now + 1.5), None)
        if after is None or not after.started:
            return syncs
        if before.formula is None:
            continue
        metric = HpaMetric(round(before.formula * 1000), round(policy.target * 1000), policy.average)
        replicas, _ = hpa.decide(lambda metric=metric: [metric], now + number / 50, before.started, before.workers)
        syncs.append((now, before.formula, after.started, replicas))
    raise AssertionError
