"""A run that is over becomes a recorded one."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from essaim.planning import recording
from essaim.planning.recording import Recording, Run
from essaim.runs import footprint
from essaim.runs.figures import gaps_in, generator_share
from loadtests.load.checking import CheckedJob, times
from loadtests.load.sampler import moments
from loadtests.load.site import LoadTarget


def record(
    folder: Path, shape: str, jobs: int, site: LoadTarget, seen: Sequence[CheckedJob], faults: Sequence[str]
) -> None:
    """Write what `essaim report` reads and `essaim plan` replays; locust has written its own beside it."""
    sampler = site.sampler
    rows = times(seen, sampler.began)
    since = min((job.submitted for job in rows), default=0.0)
    share, _ = generator_share(sampler.footprints, since)
    run = Run(
        shape=shape,
        server="essaim up" if site.private else site.server,
        started=datetime.fromtimestamp(sampler.began, UTC),
        scaledobject=site.scaledobject,
        users=jobs,
        speed=site.speed,
        concurrency=sampler.concurrency,
        generator_cpu=round(share, 3),
        faults=tuple(faults),
        gaps=gaps_in([look.seconds for look in sampler.looks]),
        releases=tuple(sampler.releases),
        versions={
            "essaim": metadata.version("essaim"),
            "locust": metadata.version("locust"),
            "python": platform.python_version(),
            "release": ", ".join(sampler.releases),
        },
    )
    recording.write(folder, Recording(run, tuple(moments(sampler.looks, sampler.replicas)), tuple(rows)))
    footprint.write(folder, sampler.footprints)
