"""Nobody is there, a job comes, and a moment later somebody is."""

from tests.cluster.access import Cluster
from tests.cluster.timeline import Timeline


def test_one_job_wakes_api_and_worker_and_both_leave_again(cluster: Cluster, timeline: Timeline) -> None:
    timeline.until(lambda it: it.api == 0 and it.started == 0 and it.workers == 0)

    with cluster.api() as api:
        answer = api.post(
            "/v1/jobs",
            json={"words": ["swarm"], "text": "a swarm of workers, a swarm", "pause_seconds": 2},
            headers={"Prefer": "wait=60"},
        )

    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "succeeded"
    assert answer.json()["result"]["counts"]["swarm"] == 2
    timeline.until(lambda it: it.workers == 1)
    timeline.until(lambda it: it.api == 0 and it.started == 0 and it.workers == 0)
