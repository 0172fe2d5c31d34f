"""A server as a child process: started, awaited until it answers, and always drained at the end."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from essaim.cli.errors import CliError
from essaim.supervisor.replica import Launch, Replica, WorkerState

LOOK_SECONDS = 0.03
START_SECONDS = 60.0
GRACE_SECONDS = 10.0
LAST_LINES = 5


@dataclass(frozen=True)
class ServerProcess:
    """A running server. `leave` starts draining it; closing the context of `open_server` waits until it has stopped."""

    url: str
    leave: Callable[[], None]


@asynccontextmanager
async def open_server(
    host: str, port: int, env: Mapping[str, str], log: Path, package: str = "essaim_api"
) -> AsyncIterator[ServerProcess]:
    """Run the API, or the proxy in front of it, while the context is open; `port` 0 picks a free one.

    Raises `CliError` if the port is taken or the server does not start.
    """
    number = free_port(host, port)
    url = address(host, number)
    with log.open("ab") as output:
        settings = {**env, "ESSAIM_API_HOST": host, "ESSAIM_API_PORT": str(number)}
        # Like a worker, this must be a process that dies with ours and is restarted after a crash.
        replica = Replica(package, Launch(module(package), settings, output, GRACE_SECONDS, speed=1.0))
        running = asyncio.create_task(replica.run(), name=package)
        try:
            await _answers(url, replica, log)
            yield ServerProcess(url, replica.stop)
        finally:
            replica.stop()
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError:
                running.cancel()  # no time left to drain
                await asyncio.wait({running})
                raise


def address(host: str, port: int) -> str:
    """The URL of a server that listens there, as seen from this machine."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # nobody binds here
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def module(name: str) -> tuple[str, ...]:
    """The command that runs a module of ours; without -P, a folder of that name in the working directory would run instead."""
    return sys.executable, "-P", "-m", name


def free_port(host: str, port: int) -> int:
    """This port, or a free one for 0. Raises `CliError` if it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as listener:
            number: int = listener.getsockname()[1]
            return number
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)  # the error's own text is too long
        raise CliError(f"cannot listen on {host} port {port} ({reason}): choose another with --port") from error


async def _answers(url: str, replica: Replica, log: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:  # noqa: S501  # it is on loopback, without TLS
        while loop.time() < deadline:
            with suppress(httpx.TransportError):
                if (await http.get(f"{url}/readyz")).is_success:
                    return
            if replica.status().state is WorkerState.CRASHED:
                break
            await asyncio.sleep(LOOK_SECONDS)
    raise CliError("\n  ".join(["the API did not start; its log ends:", *_last_lines(log)]))


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LAST_LINES:]
