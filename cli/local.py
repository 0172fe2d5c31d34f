"""Essaim on this machine: the API, and workers that come and go with the queue. Closed, it leaves no process behind."""

import logging
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cli.output import note
from cli.scene import Moment, Process, Scene
from cli.server import module, open_server
from jobs.backends import Backends, open_backends
from jobs.log_files import LogFiles
from jobs.model import ENDED, Job, State
from jobs.settings import Settings, load_settings
from jobs.starting import Starting
from jobs.telemetry import ConsoleFormatter
from scaling.policy import Policy, default_path, load
from scaling.supervisor import Supervisor

JOBS_SHOWN = 30
HISTORY = 2000


@dataclass
class Local:
    """A running house. `server` is its URL, `token` lets its owner in; `hint` is shown with each scene."""

    server: str
    token: str
    speed: float
    backends: Backends
    supervisor: Supervisor
    started: float = field(default_factory=time.monotonic)
    hint: str = ""
    history: deque[Moment] = field(default_factory=lambda: deque(maxlen=HISTORY))

    async def scene(self) -> Scene:
        """What is going on now."""
        doing = {worker.id: worker.tasks for worker in await self.backends.store.workers()}
        jobs = await self._jobs()
        snapshot = self.supervisor.snapshot()
        queued = snapshot.depth.ready + snapshot.depth.in_flight if snapshot.depth else 0
        self.history.append(Moment(queued, len(snapshot.workers)))
        return Scene(
            server=self.server,
            elapsed=time.monotonic() - self.started,
            speed=self.speed,
            depth=snapshot.depth,
            desired=snapshot.desired,
            reason=snapshot.reason,
            workers=[Process(it.id, it.state, it.pid, it.restarts, doing.get(it.id, ())) for it in snapshot.workers],
            jobs=jobs,
            history=tuple(self.history),
            hint=self.hint,
        )

    async def _jobs(self) -> list[Job]:
        """Those that run first, then those that wait, then the last ones that ended."""
        jobs: list[Job] = []
        for state in (State.RUNNING, State.QUEUED):
            jobs += (await self.backends.store.list(states=[state], limit=JOBS_SHOWN)).jobs
        ended = (await self.backends.store.list(states=ENDED, limit=JOBS_SHOWN)).jobs
        return [*jobs, *sorted(ended, key=lambda job: job.ended or job.created, reverse=True)][:JOBS_SHOWN]


@asynccontextmanager
async def open_local(settings: Settings, policy: Policy, *, speed: float = 1.0) -> AsyncIterator[Local]:
    """Start API and supervisor; leaving drains the API, then the workers. Logs go to `<data_dir>/logs`.

    Raises `CliError` when the API does not come up.
    """
    logs = settings.data_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    settings = settings.model_copy(update={"log_dir": str(log_folder(settings))})
    env = environment(settings)
    starting = Starting(lambda _, reason: note(f"waiting: {reason}"))
    async with open_backends(settings, starting) as backends:

        async def busy() -> Collection[str]:
            return [worker.id for worker in await backends.store.workers() if worker.tasks]

        with _logging_to(logs / "supervisor.log", settings), (logs / "workers.log").open("ab") as output:
            supervisor = Supervisor(
                policy,
                backends.queue.depth,
                busy=busy,
                command=module("worker"),
                env=env,
                output=output,
                speed=speed,
            )
            api = open_server(settings.api_host, settings.api_port, env, logs / "api.log")
            async with supervisor, api as server:
                yield Local(server, next(iter(settings.tokens()), ""), speed, backends, supervisor)


def rules(path: Path | None = None) -> Policy:
    """How many workers there shall be: the ScaledObject there, or else our own.

    Raises `SettingsError` for one that cannot be followed.
    """
    return load(path or default_path())


def log_folder(settings: Settings) -> Path:
    """Where log lines are as JSON, for `essaim logs`."""
    return Path(settings.log_dir or settings.data_dir / "logs")


def private(folder: Path) -> Settings:
    """Settings of a house that nobody else knows of: all it keeps is in the folder, whatever the environment says."""
    urls = dict.fromkeys(("queue_url", "store_url", "texts_url", "api_tokens"), "")
    return load_settings(data_dir=folder, api_host="127.0.0.1", api_port=0, **urls)


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment, but with exactly these settings, for API and workers."""
    values = {**settings.model_dump(mode="json"), "api_tokens": settings.api_tokens.get_secret_value()}
    return {**os.environ, **{f"ESSAIM_{name.upper()}": str(value) for name, value in values.items()}}


@contextmanager
def _logging_to(path: Path, settings: Settings) -> Iterator[None]:
    """The supervisor logs in this process, and the screen is taken."""
    who = {"release": settings.release, "supervisor": f"{socket.gethostname()}-{os.getpid()}"}
    logger, readable = logging.getLogger("essaim"), logging.FileHandler(path)
    readable.setFormatter(ConsoleFormatter())
    handlers = [readable, LogFiles(Path(settings.log_dir), who, settings.retention_seconds)]
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
