"""Who takes part: how each is started, and how it is known that a job of it is done."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import aio_pika
import aio_pika.exceptions
from pymongo import AsyncMongoClient

from essaim.jobs.backends import open_backends
from essaim.jobs.model import State
from essaim.jobs.settings import load_settings

HERE = Path(__file__).parents[1]
ROOT = HERE.parent
LEFT_BY_ALL = ("", ".dead", ".busy", ".DQ", ".XQ", ".wait.0.25s", ".wait.1s", ".wait.4s", ".wait.16s")
UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
CONCURRENCY = 32


@dataclass(frozen=True)
class Servers:
    """Where RabbitMQ and the database are."""

    broker: str
    database: str


@dataclass(frozen=True)
class Running:
    """A contender with names of its own on the servers: its commands, its environment, and whether a job of it is done."""

    api: Sequence[str]
    worker: Sequence[str] | None
    environment: dict[str, str]
    path: str
    queue: str
    done: Callable[[str], Awaitable[bool]]


async def consuming(servers: Servers, queue: str) -> None:
    """Return once somebody consumes: what is published to a queue that is not yet declared is lost with some peers."""
    async with asyncio.timeout(60), await aio_pika.connect(servers.broker) as connection:
        while True:
            with suppress(aio_pika.exceptions.ChannelNotFoundEntity):
                async with connection.channel() as channel:
                    found = await channel.declare_queue(queue, passive=True)
                    if found.declaration_result.consumer_count:
                        return
            await asyncio.sleep(0.05)


def peers_python() -> Path:
    """Python of an environment with the pinned peers, made in the cache folder the first time."""
    pins = HERE / "peers" / "requirements.txt"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / "essaim" / f"peers-{name}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing the peers into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", pins], check=True)
        (folder / "ready").touch()
    return python


@asynccontextmanager
async def essaim(servers: Servers, store: str, data: Path, port: int) -> AsyncIterator[Running]:
    release = f"bench-{uuid4().hex[:8]}"
    values = {
        "release": release,
        "data_dir": str(data / release),
        "queue_url": servers.broker,
        "store_url": f"{servers.database}/{release}" if store == "mongodb" else f"sqlite:///{data}/{release}/jobs.db",
        "api_port": str(port),
        "workload": "noop",
        "concurrency": str(CONCURRENCY),
        "log_level": "WARNING",
        "lease_seconds": "60",
    }
    environment = {f"ESSAIM_{name.upper()}": value for name, value in values.items()}
    environment["PYTHONPATH"] = str(HERE / "workloads")
    async with _cleared(servers, f"jobs.{release}", release), open_backends(load_settings(**values)) as backends:

        async def done(job_id: str) -> bool:
            return (await backends.store.get(job_id)).state is State.SUCCEEDED

        python = (sys.executable, "-P", "-m")
        yield Running(
            (*python, "essaim_api"), (*python, "essaim_worker"), environment, "/v1/jobs", f"jobs.{release}", done
        )


@asynccontextmanager
async def peer(servers: Servers, name: str, python: Path, port: int) -> AsyncIterator[Running]:
    """One of the files in `peers`."""
    queue = f"bench-{uuid4().hex[:8]}"
    environment = {
        "PEER_BROKER": servers.broker,
        "PEER_DATABASE": f"{servers.database}/{queue}",
        "PEER_QUEUE": queue,
        "PYTHONPATH": str(HERE / "peers"),
    }
    api = (str(python), "-m", "uvicorn", f"{name}_peer:app", "--port", str(port), *UVICORN)
    workers = {
        "celery": (
            "celery",
            "-A",
            "celery_peer:celery",
            "worker",
            "--pool=solo",
            "--loglevel=ERROR",
            f"--hostname={queue}",
        ),
        "dramatiq": ("dramatiq", "dramatiq_peer", "--processes=1", f"--threads={CONCURRENCY}"),
        "taskiq": ("taskiq", "worker", "taskiq_peer:broker", "--workers=1", "--log-level=ERROR"),
        "constant": None,
    }
    command = workers[name]
    worker = (str(python), "-m", *command) if command else None
    async with _cleared(servers, queue, queue) as client:

        async def done(job_id: str) -> bool:
            return await client[queue].results.find_one({"_id": job_id}, {"_id": 1}) is not None

        yield Running(api, worker, environment, "/jobs", queue, done)


@asynccontextmanager
async def _cleared(servers: Servers, queue: str, database: str) -> AsyncIterator[AsyncMongoClient[dict[str, object]]]:
    """Whatever it leaves on the servers goes at the end."""
    async with AsyncMongoClient(servers.database) as client:
        try:
            yield client
        finally:
            await client.drop_database(database)
            async with await aio_pika.connect(servers.broker) as connection:
                for suffix in LEFT_BY_ALL:
                    async with connection.channel() as channel:
                        await channel.queue_delete(f"{queue}{suffix}", if_unused=False, if_empty=False)
