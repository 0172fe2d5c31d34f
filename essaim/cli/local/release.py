"""One release on this machine: its queue, its API and its workers, scaled with the queue."""

import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretBytes, SecretStr

from essaim.autoscaler.policy import Policy
from essaim.cli.local.server import ServerProcess, module, open_server
from essaim.cli.output import note
from essaim.jobs.backends import Backends, open_backends
from essaim.jobs.process import Starting
from essaim.jobs.settings import Settings
from essaim.supervisor.supervisor import Supervisor
from essaim.telemetry import bound


@dataclass(frozen=True)
class LocalRelease:
    """The running API and supervisor of a release, and its backends."""

    name: str
    backends: Backends
    supervisor: Supervisor
    api: ServerProcess

    def leave(self) -> None:
        """Start draining the API and the workers."""
        self.api.leave()
        self.supervisor.leave()


@asynccontextmanager
async def open_release(
    settings: Settings, policy: Policy, speed: float, code: Path | None = None
) -> AsyncIterator[LocalRelease]:
    """Start API and supervisor; on exit drain the API, then the workers. Logs go to `<data_dir>/logs`.

    `code`: the folder with the packages of the release, if there are several. Raises `CliError` if the API does not start.
    """
    logs, suffix = settings.data_dir / "logs", "" if code is None else f"-{settings.release}"
    env = environment(settings)
    if code is not None:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(code), env.get("PYTHONPATH"))))
    starting = Starting(lambda _, reason: note(f"waiting: {reason}"))
    async with open_backends(settings, starting) as backends:

        async def busy() -> Collection[str]:
            return [worker.id for worker in await backends.store.workers() if worker.tasks]

        log_fields = nullcontext() if code is None else bound(release=settings.release)
        with (logs / f"workers{suffix}.log").open("ab") as output, log_fields:
            supervisor = Supervisor(
                policy,
                backends.queue.depth,
                busy=busy,
                command=module("essaim_worker"),
                env=env,
                output=output,
                speed=speed,
            )
            api = open_server(settings.api_host, settings.api_port, env, logs / f"api{suffix}.log")
            async with supervisor, api as server:
                yield LocalRelease(settings.release, backends, supervisor, server)


def environment(settings: Settings) -> dict[str, str]:
    """The environment for children: this process's, with exactly these settings."""
    dumped = settings.model_dump(mode="json")
    own = {f"ESSAIM_{name.upper()}": _plain(getattr(settings, name), dumped[name]) for name in dumped}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in own}  # any case is read
    return {**inherited, **own}


def _plain(value: object, dumped: object) -> str:
    """The value for an environment variable; a secret would be dumped as asterisks."""
    return str(value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else dumped)
