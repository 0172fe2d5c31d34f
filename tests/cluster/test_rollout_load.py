"""`essaim rollout` under locust: who comes, what every request got, and what became of each job is `make load`'s to say.

ESSAIM_TEST_LOAD_OUT keeps what was recorded, a folder for each test.
"""

import csv
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.traffic import PREFIX
from loadtests.load.visits import Visit, Visits
from scaling.recording import Recording, read
from tests.cluster.access import Cluster
from tests.cluster.place import IMAGES
from tests.cluster.test_rollout import Rollout, serving, smoke
from tests.conftest import ROOT

REQUEST = '{"texts": ["{text}"], "words": ["swarm", "bee"], "pause_seconds": 0.2}'
SOAK = (sys.executable, "-m", "loadtests.load", "--shape=soak", "--cancel=0", f"--request={REQUEST}")


class Soak:
    """Visitors of locust, so many a second, for so long. `visits` are known once it is over."""

    def __init__(self, cluster: Cluster, folder: Path, each_second: float, seconds: int) -> None:
        self.folder = Path(os.environ.get("ESSAIM_TEST_LOAD_OUT", folder)) / folder.name
        self.folder.mkdir(parents=True)
        with cluster.api() as api:
            where = [f"--server={api.base_url}", f"--host-header={api.headers['host']}"]
        where += [f"--namespace={cluster.namespace}", f"--kube-proxy={cluster.proxy}", f"--out={self.folder}"]
        command = [*SOAK, f"--jobs={round(each_second * seconds)}", f"--span={seconds}", *where]
        self._said = (self.folder / "said").open("w+")
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self._said, stderr=subprocess.STDOUT)
        self._visits = Visits(self.folder)

    def visits(self) -> list[Visit]:
        self._visits.look()
        return list(self._visits.by_number.values())

    def end(self) -> Recording:
        """Wait until all have left and every job was looked up."""
        self.process.wait()
        self._said.seek(0)
        print(self._said.read())
        self._said.close()
        return read(self.folder)

    def failed_requests(self) -> list[dict[str, str]]:
        with (self.folder / f"{PREFIX}_failures.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@contextmanager
def soaked(cluster: Cluster, folder: Path, each_second: float, seconds: int) -> Iterator[Soak]:
    """Visitors who have been coming for a while."""
    soak = Soak(cluster, folder, each_second, seconds)
    try:
        while sum(visit.state == "succeeded" for visit in soak.visits()) < 20:
            assert soak.process.poll() is None, (soak.folder / "said").read_text()
            time.sleep(0.5)  # between two looks
        yield soak
    except BaseException:
        soak.process.terminate()
        raise


def releases(cluster: Cluster, recording: Recording) -> Counter[str]:
    """Which release each of these jobs ended in."""
    with cluster.api() as api:
        return Counter(api.get(f"/v1/jobs/{job.id}").json()["release"] for job in recording.jobs)


def test_a_good_release_takes_over(cluster: Cluster, name: str, tmp_path: Path) -> None:
    old = serving(cluster)
    with soaked(cluster, tmp_path / "good", each_second=3, seconds=300) as soak:
        image = IMAGES.get("essaim", "dev.local/essaim:dev")
        # No copy of a visitor's job: it has taken its text away again.
        arguments = ("--steps", "10,50,100", "--min-jobs", "20", "--smoke", smoke(tmp_path))
        rollout = Rollout(cluster, "--release", name, "--image", image, *arguments)
        assert rollout.end() == 0
    recording = soak.end()
    taken = releases(cluster, recording)
    print(f"  {len(recording.jobs)} jobs by release: {dict(taken)}; failed requests: {soak.failed_requests()}")
    assert recording.run.faults == ()
    assert not soak.failed_requests()
    assert {job.state for job in recording.jobs} == {"succeeded"}
    assert taken.keys() == {old, name}
    assert serving(cluster) == name
