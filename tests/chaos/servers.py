"""Servers of the storm's own, that it may kill: started from a command, on a free port, with data in a folder of the test."""

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aio_pika
from pymongo import AsyncMongoClient

from tests.ports import free_port
from tests.servers import absent

# Debian's `rabbitmq-server` on the PATH serves two users only, so the one behind it comes first.
RABBITMQ_PATH = f"/usr/lib/rabbitmq/bin{os.pathsep}{os.environ.get('PATH', '')}"
STARTING_SECONDS = 120.0  # against hanging


@dataclass
class Server:
    """A process that can be killed and started again with the same data. `answers` raises until it serves."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    port: int
    answers: Callable[[], Awaitable[object]]
    process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that whatever the command starts can be killed with it
            )
        async with asyncio.timeout(STARTING_SECONDS):
            while not await self._serves():
                assert self.process.poll() is None, (self.folder / "log").read_text()
                await asyncio.sleep(0.1)

    async def restart(self) -> None:
        """In good order."""
        await self.end(signal.SIGTERM)
        await self.start()

    async def crash(self) -> None:
        """As after a loss of power, but for what the kernel has."""
        await self.end(signal.SIGKILL)
        await self.start()

    async def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, how)
            await asyncio.to_thread(self.process.wait)

    async def _serves(self) -> bool:
        try:
            async with asyncio.timeout(10):
                await self.answers()
        except Exception:  # whatever a client says of a server that is not up yet
            return False
        return True


@asynccontextmanager
async def broker(folder: Path, advanced: str = "[].") -> AsyncIterator[Server]:
    """RabbitMQ, with these terms as its advanced configuration. Skips the test where it is not installed; in CI it fails."""
    server = _broker(_folder(folder / "rabbitmq"), free_port())
    (server.folder / "advanced.config").write_text(advanced)
    # The Erlang nodes' name server would start by itself and outlive the test.
    epmd = subprocess.Popen(["epmd"], env={**os.environ, **server.environment})
    try:
        async with _running(server):
            yield server
    finally:
        epmd.kill()
        epmd.wait()


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[Server]:
    """MongoDB, likewise."""
    async with _running(_database(_folder(folder / "mongodb"), free_port())) as server:
        yield server


@asynccontextmanager
async def _running(server: Server) -> AsyncIterator[Server]:
    try:
        await server.start()
        yield server
    finally:
        await server.end()


def _broker(folder: Path, port: int) -> Server:
    """`ESSAIM_TEST_RABBITMQ_SERVER`: a command that runs RabbitMQ in the foreground, as its own variables say."""
    command = os.environ.get("ESSAIM_TEST_RABBITMQ_SERVER") or shutil.which("rabbitmq-server", path=RABBITMQ_PATH)
    if command is None or shutil.which("epmd") is None:
        absent("no rabbitmq-server on the PATH, and ESSAIM_TEST_RABBITMQ_SERVER names none")
    environment = {
        "HOME": str(folder),  # of the Erlang cookie
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "storm@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
    }

    async def answers() -> None:
        connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{port}/")
        await connection.close()

    return Server(shlex.split(command), environment, folder, port, answers)


def _database(folder: Path, port: int) -> Server:
    """`ESSAIM_TEST_MONGODB_SERVER`: a command with `{folder}` and `{port}` that runs MongoDB in the foreground."""
    command = os.environ.get("ESSAIM_TEST_MONGODB_SERVER")
    if command is None:
        if shutil.which("mongod") is None:
            absent("no mongod on the PATH, and ESSAIM_TEST_MONGODB_SERVER names none")
        command = "mongod --dbpath {folder} --port {port} --bind_ip 127.0.0.1"

    async def answers() -> None:
        async with AsyncMongoClient[dict[str, object]](f"mongodb://127.0.0.1:{port}", timeoutMS=2000) as client:
            await client.admin.command("ping")

    return Server(shlex.split(command.format(folder=folder, port=port)), {}, folder, port, answers)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
