"""Essaim on this machine: the API and workers that scale with the queue. Closing it stops every process."""

import logging
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from essaim.autoscaler.policy import Policy
from essaim.cli.local import snapshot
from essaim.cli.local.release import LocalRelease, environment, open_release
from essaim.cli.local.server import address, free_port, open_server
from essaim.cli.local.status import Counts, LocalStatus, ReleaseStatus, WorkerProcess, summed
from essaim.jobs.model import ENDED, Job, State, Worker
from essaim.jobs.settings import Settings, load_settings
from essaim.splitter.service_file import FILE, LocalService, revision
from essaim.splitter.split import in_force, shares
from essaim.telemetry import ConsoleFormatter, complete
from essaim.telemetry.log_files import LogFiles

JOBS_SHOWN = 30
HISTORY = 2000


@dataclass
class Local:
    """Essaim, running. `server` is its URL, `token` the first API token; `hint` is shown with each status.

    `service` has the split of the requests if there are several releases.
    """

    server: str
    token: str
    speed: float
    releases: Sequence[LocalRelease]
    service: LocalService | None = None
    started: float = field(default_factory=time.monotonic)
    hint: str = ""
    history: deque[Counts] = field(default_factory=lambda: deque(maxlen=HISTORY))

    async def status(self) -> LocalStatus:
        """The current status. Raises `UnavailableError`."""
        doing = {worker.id: worker for worker in await self.releases[0].backends.store.workers()}
        jobs = await self._jobs()
        percents = shares(in_force(await self.service.read())) if self.service else {}
        parts = [_part(release, percents, doing) for release in self.releases]
        depth = summed([part.depth for part in parts])
        workers = [worker for part in parts for worker in part.workers]
        self.history.append(Counts(depth.ready + depth.in_flight if depth else 0, len(workers)))
        return LocalStatus(
            server=self.server,
            elapsed=time.monotonic() - self.started,
            speed=self.speed,
            depth=depth,
            desired=sum(part.desired for part in parts),
            reason=parts[0].reason,
            workers=workers,
            jobs=jobs,
            history=tuple(self.history),
            hint=self.hint,
            releases=parts if self.service else (),
        )

    async def _jobs(self) -> list[Job]:
        """Running jobs first, then queued ones, then those that ended last."""
        store = self.releases[0].backends.store
        jobs: list[Job] = []
        for state in (State.RUNNING, State.QUEUED):
            jobs += (await store.list(states=[state], limit=JOBS_SHOWN)).jobs
        ended = (await store.list(states=ENDED, limit=JOBS_SHOWN)).jobs
        return [*jobs, *sorted(ended, key=lambda job: job.ended or job.created, reverse=True)][:JOBS_SHOWN]


def _part(release: LocalRelease, percents: Mapping[str, int], doing: Mapping[str, Worker]) -> ReleaseStatus:
    now = release.supervisor.snapshot()
    return ReleaseStatus(
        name=release.name,
        server=release.api.url,
        percent=percents.get(revision(release.name), 0),
        depth=now.depth,
        desired=now.desired,
        reason=now.reason,
        workers=[
            WorkerProcess(
                it.id, it.state, it.pid, it.restarts, doing[it.id].tasks if it.id in doing else (), release.name
            )
            for it in now.workers
        ],
    )


@asynccontextmanager
async def open_local(
    settings: Settings, policy: Policy, *, speed: float = 1.0, releases: Mapping[str, Path | None] | None = None
) -> AsyncIterator[Local]:
    """Start API and supervisor; on exit drain the API, then the workers. Logs go to `<data_dir>/logs`.

    `releases` maps names to folders with their code (None: this installation's). Each gets its own API and workers, and a
    proxy at the configured address splits the requests among them. Raises `CliError` if an API does not start.
    """
    (settings.data_dir / "logs").mkdir(parents=True, exist_ok=True)
    settings = settings.model_copy(update={"log_dir": str(log_folder(settings))})
    token = next(iter(settings.tokens()), "")
    with _logging_to(settings.data_dir / "logs" / "supervisor.log", settings):
        if releases:
            async with _open_split(settings, policy, speed, releases) as (server, opened, service):
                yield Local(server, token, speed, opened, service)
        else:
            async with open_release(settings, policy, speed) as release:
                yield Local(release.api.url, token, speed, [release])


@asynccontextmanager
async def _open_split(
    settings: Settings, policy: Policy, speed: float, releases: Mapping[str, Path | None]
) -> AsyncIterator[tuple[str, list[LocalRelease], LocalService]]:
    """The APIs listen on loopback, the proxy at the configured address."""
    port, service = free_port(settings.api_host, settings.api_port), LocalService(settings.data_dir / FILE)
    url = address(settings.api_host, port)
    opened: list[LocalRelease] = []
    async with AsyncExitStack() as stack:
        for name, path in releases.items():
            code = (settings.data_dir / "releases" / name).absolute()
            snapshot.take(code, path, settings.workload)
            own = settings.model_copy(update={"release": name, "api_host": "127.0.0.1", "api_port": 0})
            opened.append(await stack.enter_async_context(open_release(own, policy, speed, code)))
        await service.open(url, {release.name: release.api.url for release in opened})
        log = settings.data_dir / "logs" / "split.log"
        proxy = open_server(settings.api_host, port, environment(settings), log, "essaim.splitter")
        async with proxy as split:
            try:
                yield split.url, opened, service
            finally:
                split.leave()  # all at once: requests in the proxy end when the APIs end them
                for release in opened:
                    release.leave()


def log_folder(settings: Settings) -> Path:
    """The folder of the JSON log lines that `essaim logs` reads."""
    return Path(settings.log_dir or settings.data_dir / "logs")


def private(folder: Path, **values: object) -> Settings:
    """Settings that keep everything in this folder, regardless of the environment; `values` are further settings."""
    urls = dict.fromkeys(("queue_url", "store_url", "texts_url", "api_tokens"), "")
    return load_settings(data_dir=folder, api_host="127.0.0.1", api_port=0, **urls, **values)


@contextmanager
def _logging_to(path: Path, settings: Settings) -> Iterator[None]:
    """Send the log of the supervisor, which runs in this process, to a file: the terminal has the live view."""
    who = {"release": settings.release, "supervisor": f"{socket.gethostname()}-{os.getpid()}"}
    logger, readable = logging.getLogger("essaim"), logging.FileHandler(path)
    readable.setFormatter(ConsoleFormatter())
    handlers = [readable, LogFiles(Path(settings.log_dir), who, settings.retention_seconds)]
    logger.setLevel(logging.INFO)
    for handler in handlers:
        handler.addFilter(complete)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
