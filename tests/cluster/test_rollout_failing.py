"""`essaim rollout` under locust: a release whose jobs fail is found out by a hundredth of the requests.

It takes thousands of jobs until that many have failed, so they have a store of their own.
"""

import re
from pathlib import Path

from tests.cluster.access import Cluster
from tests.cluster.rollouts import SERVICE, Rollout, apply, serving, show, smoke, states
from tests.cluster.visitors import visited


def test_a_release_that_fails_jobs_is_taken_back_and_they_all_succeed(
    cluster: Cluster, name: str, tmp_path: Path
) -> None:
    old = serving(cluster)
    with visited(cluster, tmp_path) as visitors:
        steps = ("--steps", "1,10,100", "--requeue-failed", "--smoke", smoke(tmp_path))
        rollout = Rollout(cluster, "--release", name, *steps)
        rollout.until("is to take over")
        before = cluster.read(SERVICE)
        apply(cluster, tmp_path, name, slower=0, failing=0.2)
        assert rollout.end() == 1
    show(visitors, rollout)
    failed = [visit for visit in visitors.visits if visit.state == "failed"]
    touched, all_jobs = visitors.taken()[name], len(visitors.recording.jobs)
    print(f"  taken by the bad release: {touched} of {all_jobs}, {touched / all_jobs:.2%}; {len(failed)} failed there")
    assert failed
    assert {visit.release for visit in failed} == {name}
    assert not visitors.failed_requests
    assert states(visitors) == {"succeeded"}
    assert all("in another state than its visitor saw" in fault for fault in visitors.recording.run.faults)
    assert touched < 0.02 * all_jobs
    assert not [line for line in rollout.lines if re.search(r" 10 % of the requests go", line)]
    assert serving(cluster) == old
    assert cluster.read(SERVICE)["spec"]["traffic"] == before["spec"]["traffic"]
