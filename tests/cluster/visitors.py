"""Visitors outside the cluster who come evenly, whatever release answers: those of `make load`, which has locust.

ESSAIM_TEST_VISITORS is how many come in a second; ESSAIM_TEST_LOAD_OUT keeps what was recorded, a folder for each test.
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

from essaim.planning.recording import Recording, read
from essaim.runs.traffic import PREFIX
from loadtests.load.visits import Visit, Visits
from tests.cluster.access import Cluster
from tests.conftest import ROOT

EACH_SECOND = int(os.environ.get("ESSAIM_TEST_VISITORS", "6"))
LONGEST_SECONDS = 1800
ROW_SECONDS = 10


class Visitors:
    """`recording` is what they have seen, once they have left."""

    recording: Recording

    def __init__(self, cluster: Cluster, folder: Path, pause_seconds: float) -> None:
        self.folder = Path(os.environ.get("ESSAIM_TEST_LOAD_OUT", folder)) / folder.name / "load"
        self.folder.mkdir(parents=True)
        with cluster.api() as api:
            where = [f"--server={api.base_url}", f"--host-header={api.headers['host']}"]
        where += [f"--namespace={cluster.namespace}", f"--kube-proxy={cluster.proxy}", f"--out={self.folder}"]
        request = f'{{"words": ["a"], "text": "a", "pause_seconds": {pause_seconds}}}'
        when = [f"--jobs={EACH_SECOND * LONGEST_SECONDS}", f"--span={LONGEST_SECONDS}", f"--until={self._enough}"]
        command = [sys.executable, "-m", "loadtests.load", "--shape=soak", "--cancel=0", f"--request={request}"]
        self._said = (self.folder / "said").open("w+")
        self._process = subprocess.Popen([*command, *when, *where], cwd=ROOT, stdout=self._said, stderr=self._said)
        self._visits = Visits(self.folder)

    @property
    def _enough(self) -> Path:
        return self.folder / "enough"

    @property
    def visits(self) -> list[Visit]:
        """As far as they have come."""
        self._visits.look()
        return list(self._visits.by_number.values())

    @property
    def failed_requests(self) -> list[dict[str, str]]:
        """Also those that were tried again. Known once they have left."""
        with (self.folder / f"{PREFIX}_failures.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def until_succeeded(self, more: int, seconds: float = 600) -> None:
        """Wait until so many more jobs have."""
        deadline, wanted = time.monotonic() + seconds, self._succeeded() + more
        while (missing := wanted - self._succeeded()) > 0:
            assert self._process.poll() is None, (self.folder / "said").read_text()
            assert time.monotonic() < deadline, f"{missing} jobs are missing"
            time.sleep(0.5)  # between two looks

    def _succeeded(self) -> int:
        return sum(visit.state == "succeeded" for visit in self.visits)

    def leave(self) -> None:
        """Nobody comes any more; wait until all have left, the workers too, and every job was looked up."""
        self._enough.touch()
        self._process.wait()
        self._said.seek(0)
        print(self._said.read())
        self.recording = read(self.folder)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._said.close()

    def taken(self) -> Counter[str]:
        """How many jobs each release has accepted."""
        return Counter(visit.release for visit in self.visits if visit.id)

    def rows(self) -> Iterator[tuple[float, str]]:
        """What happened in each time: seconds since 1970, and how many jobs each release took, and of those how many failed."""
        known = [(visit.accepted, visit) for visit in self.visits if visit.accepted]
        spans = {int(at // ROW_SECONDS) for at, _ in known}
        for span in sorted(spans):
            here = [visit for at, visit in known if at // ROW_SECONDS == span]
            taken, failed = (
                Counter(it.release for it in here),
                Counter(it.release for it in here if it.state == "failed"),
            )
            cells = [
                f"{name} {count}" + (f" ({failed[name]} failed)" if failed[name] else "")
                for name, count in sorted(taken.items())
            ]
            yield span * ROW_SECONDS, f"jobs: {', '.join(cells)}"


@contextmanager
def visited(cluster: Cluster, folder: Path, pause_seconds: float = 0.1) -> Iterator[Visitors]:
    """They have been coming for a while, and have left at the end of the block."""
    visitors = Visitors(cluster, folder, pause_seconds)
    try:
        visitors.until_succeeded(30)
        yield visitors
        visitors.leave()
    finally:
        visitors.close()
