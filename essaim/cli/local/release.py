"""One release on this machine: its queue, its API, and its workers, as many as the queue asks for."""

import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretBytes, SecretStr

from essaim.autoscaler.policy import Policy
from essaim.cli.local.server import Server, module, open_server
from essaim.cli.output import note
from essaim.jobs.backends import Backends, open_backends
from essaim.jobs.settings import Settings
from essaim.jobs.starting import Starting
from essaim.supervisor.supervisor import Supervisor
from essaim.telemetry import bound


@dataclass(frozen=True)
class LocalRelease:
    """A running one."""

    name: str
    backends: Backends
    supervisor: Supervisor
    api: Server

    def leave(self) -> None:
        """Have all of it begin to drain."""
        self.api.leave()
        self.supervisor.leave()


@asynccontextmanager
async def open_release(
    settings: Settings, policy: Policy, speed: float, code: Path | None = None
) -> AsyncIterator[LocalRelease]:
    """Start API and supervisor; leaving drains the API, then the workers. Logs go to `<data_dir>/logs`.

    `code`: the folder that its packages are in, where it is one of several. Raises `CliError` when the API does not come up.
    """
    logs, suffix = settings.data_dir / "logs", "" if code is None else f"-{settings.release}"
    env = environment(settings)
    if code is not None:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(code), env.get("PYTHONPATH"))))
    starting = Starting(lambda _, reason: note(f"waiting: {reason}"))
    async with open_backends(settings, starting) as backends:

        async def busy() -> Collection[str]:
            return [worker.id for worker in await backends.store.workers() if worker.tasks]

        said = nullcontext() if code is None else bound(release=settings.release)
        with (logs / f"workers{suffix}.log").open("ab") as output, said:
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
    """This process's environment, but with exactly these settings, for its children."""
    dumped = settings.model_dump(mode="json")
    own = {f"ESSAIM_{name.upper()}": _plain(getattr(settings, name), dumped[name]) for name in dumped}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in own}  # any case is read
    return {**inherited, **own}


def _plain(value: object, dumped: object) -> str:
    """As a variable has it: a secret would be dumped as asterisks."""
    return str(value.get_secret_value() if isinstance(value, SecretStr | SecretBytes) else dumped)
