"""A spike through the ingress, recorded by `make load`: nothing is lost, and replicas go from zero and back to it.

ESSAIM_TEST_LOAD_OUT keeps what was recorded, ESSAIM_TEST_LOAD_JOBS says how many jobs come.
"""

import os
import subprocess
import sys
from pathlib import Path

from essaim.planning.recording import read
from essaim.runs.figures import figures_of
from tests.cluster.access import Cluster
from tests.cluster.timeline import Timeline
from tests.conftest import ROOT

JOBS = os.environ.get("ESSAIM_TEST_LOAD_JOBS", "60")
LOAD = (sys.executable, "-m", "loadtests.load", "--shape=spike", f"--jobs={JOBS}")


def test_a_spike_is_recorded_with_the_replicas_that_it_brings(
    cluster: Cluster, timeline: Timeline, tmp_path: Path
) -> None:
    timeline.until(lambda it: it.started == 0 and it.workers == 0)
    out = Path(os.environ.get("ESSAIM_TEST_LOAD_OUT") or tmp_path / "run")
    with cluster.api() as api:
        where = [f"--server={api.base_url}", f"--host-header={api.headers['host']}"]
    where += [f"--namespace={cluster.namespace}", f"--kube-proxy={cluster.proxy}"]
    done = subprocess.run([*LOAD, *where, f"--out={out}"], cwd=ROOT, capture_output=True, text=True, timeout=900)
    print(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    recording = read(out)
    assert len(recording.jobs) == int(JOBS)
    assert figures_of(recording).states.keys() <= {"succeeded", "cancelled"}
    desired = [moment.replicas_desired for moment in recording.moments if moment.replicas_desired is not None]
    ready = [moment.replicas_ready or 0 for moment in recording.moments]
    assert desired[0] == desired[-1] == ready[0] == ready[-1] == 0
    assert max(desired) >= max(ready) > 1
    assert max(moment.hpa_desired or 0 for moment in recording.moments) == max(desired)
    assert recording.run.scaledobject["spec"]["pollingInterval"] == 1
    assert recording.run.speed == 1.0
