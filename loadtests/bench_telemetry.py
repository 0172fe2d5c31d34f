"""What telemetry costs: jobs per second from POST to result, without it, with a collector, and with one that is dead.

    python loadtests/bench_telemetry.py [--jobs 160] [--rounds 15]

Real API and worker processes, on the embedded default or on what `ESSAIM_…_URL` name (`eval "$(make -s services)"`): three
pairs of them side by side, given jobs in turn, so that what else the machine does hits all alike, each after its exporters
are loaded. The collector only swallows what it gets, in a process of its own. Goal: with telemetry at least 0.85 of without,
to a dead collector no less: the median of the rounds' ratios. CPU time is that of API and worker.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

GOAL = 0.85
CLIENTS = 16
WARM_UP_JOBS = 80
WARM_UP_SECONDS = 6.0  # the SDK sends its first batch, and loads what sends it, within five
JOB = {"text": "a swarm of bees", "words": ["swarm"]}
SWALLOW = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Swallow(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *args): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Swallow)
print(server.server_port, flush=True)
server.serve_forever()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def collector() -> Iterator[str]:
    """The endpoint of one that takes everything, in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", SWALLOW], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


@dataclass(frozen=True)
class System:
    """API and one worker, ready."""

    http: httpx.AsyncClient
    processes: list[subprocess.Popen[bytes]]

    def cpu(self) -> float:
        """Seconds that both have computed so far, as Linux counts them."""
        stats = [Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split() for process in self.processes]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")

    async def run(self, jobs: int) -> None:
        async def client(share: int) -> None:
            for _ in range(share):
                answer = await self.http.post("/v1/jobs", json=JOB, headers={"prefer": "wait=30"})
                if answer.status_code != 200:
                    raise SystemExit(f"a job did not succeed: {answer.text}")

        await asyncio.gather(*(client(jobs // CLIENTS) for _ in range(CLIENTS)))


@asynccontextmanager
async def open_system(release: str, endpoint: str | None) -> AsyncIterator[System]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        given = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        own = {"ESSAIM_DATA_DIR": folder, "ESSAIM_API_PORT": str(port), "ESSAIM_RELEASE": release}
        environment = {**given, **own, "ESSAIM_CONCURRENCY": "8"}
        if endpoint:
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        processes = [
            subprocess.Popen([sys.executable, "-m", f"essaim_{module}"], env=environment, stderr=subprocess.DEVNULL)
            for module in ("api", "worker")
        ]
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
                while not await ready(http, release):
                    await asyncio.sleep(0.05)
                yield System(http, processes)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


async def ready(http: httpx.AsyncClient, release: str) -> bool:
    try:
        return any(it["release"] == release for it in (await http.get("/v1/workers")).json()["workers"])
    except httpx.TransportError:
        return False


@dataclass
class Figures:
    """Of one kind: jobs per second in each round, and seconds of CPU time in all."""

    speeds: list[float] = field(default_factory=list)
    computed: float = 0.0


async def measure(site: System, jobs: int, figures: Figures) -> None:
    began, computed = time.perf_counter(), site.cpu()
    await site.run(jobs)
    figures.speeds.append(jobs / (time.perf_counter() - began))
    figures.computed += site.cpu() - computed


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=160, help="in each round, for each kind")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    jobs = arguments.jobs // CLIENTS * CLIENTS
    kinds = {"without": Figures(), "with a collector": Figures(), "with a dead one": Figures()}
    with collector() as alive:
        endpoints = (None, alive, f"http://127.0.0.1:{free_port()}")
        async with AsyncExitStack() as stack:
            systems = [open_system(f"bench-{number}", endpoint) for number, endpoint in enumerate(endpoints)]
            sites = [await stack.enter_async_context(one) for one in systems]
            for site in sites:
                await site.run(WARM_UP_JOBS)
            await asyncio.sleep(WARM_UP_SECONDS)
            for _ in range(arguments.rounds):
                for site, figures in zip(sites, kinds.values(), strict=True):
                    await measure(site, jobs, figures)
    missed = 0
    for kind, found in kinds.items():
        pairs = zip(found.speeds, kinds["without"].speeds, strict=True)
        ratio = statistics.median(mine / base for mine, base in pairs)
        cpu = found.computed / jobs / arguments.rounds * 1000
        missed += ratio < GOAL
        print(
            f"{kind:18} {statistics.median(found.speeds):7.1f} jobs/s   {ratio:.2f} of without   goal {GOAL}   "
            f"{cpu:5.2f} ms CPU a job"
        )
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
