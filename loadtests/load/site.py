"""Where the load goes: Essaim on this machine, started for it, or a server that is there, in a cluster perhaps."""

from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from essaim.autoscaler.policy import default_path, parse, read
from essaim.cli.client import Client, open_http
from loadtests.load.cluster import open_workers
from loadtests.load.local import open_essaim
from loadtests.load.sampler import Sampler

SPEED = 5.0
PATIENT_SECONDS = 20.0


@dataclass(frozen=True)
class LoadTarget:
    """`scaledobject`: the manifest that the workers are scaled by, or ours where that cannot be seen."""

    server: str
    client: Client
    sampler: Sampler
    scaledobject: dict[str, Any]
    speed: float
    private: bool

    @property
    def cooldown(self) -> float:
        """Seconds in which an empty queue must have sent the last worker away."""
        return float(self.scaledobject["spec"].get("cooldownPeriod", 300)) / self.speed * 1.5 + PATIENT_SECONDS


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--server", metavar="URL", help="where Essaim answers; by default it is started here, for this")
    parser.add_argument("--host-header", default="", metavar="NAME", help="the Host that an ingress wants")
    parser.add_argument("--namespace", metavar="NAME", help="of the workers in the cluster of KUBECONFIG")
    parser.add_argument("--kube-proxy", metavar="URL", help="`kubectl proxy`, instead of KUBECONFIG")
    parser.add_argument("--scaledobject", type=Path, metavar="FILE", help="the rules for the number of workers")
    parser.add_argument(
        "--speed",
        type=float,
        metavar="X",
        help=f"how fast time runs in the autoscaler: {SPEED:g} where it is started here, elsewhere 1 unless you know better",
    )


@asynccontextmanager
async def open_target(options: Namespace, token: str, data: Path) -> AsyncIterator[LoadTarget]:
    """With a sampler that knows how to look at it. Raises as what it opens does, and `ScaledObjectError` for the rules."""
    path = options.scaledobject or default_path()
    scaledobject: Any = read(path)
    parse(scaledobject, str(path))  # refused here rather than by a child
    async with AsyncExitStack() as stack:
        server, pid, replicas, speed = options.server, None, None, options.speed or 1.0
        if server is None:
            speed = options.speed or SPEED
            server, pid = await stack.enter_async_context(open_essaim(data, speed, options.scaledobject))
        headers = {"host": options.host_header} if options.host_header else {}
        if token:
            headers["authorization"] = f"Bearer {token}"
        # Direct, as locust goes.
        http = await stack.enter_async_context(open_http(server, headers, direct=True))
        server = str(http.base_url).rstrip("/")
        client = Client(server, http)
        if options.namespace:
            release = (await client.get("/v1/stats"))["release"]
            workers = await stack.enter_async_context(open_workers(options.namespace, release, options.kube_proxy))
            scaledobject, replicas = await workers.scaledobject(), workers.replicas
        sampler = Sampler(client, replicas, pid)
        yield LoadTarget(server, client, sampler, scaledobject, speed, options.server is None)
