"""What telemetry costs: jobs per second from POST to result, without it, with a collector, and with one that is dead.

    python loadtests/bench_telemetry.py [--jobs 300] [--rounds 3]

Real API and worker processes on the embedded default, the three kinds in turn in each round. Goal: with telemetry, to a
collector that only swallows what it gets, at least 0.85 of without; with a dead one no less either.
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
from contextlib import asynccontextmanager, contextmanager

import httpx

GOAL = 0.85
CLIENTS = 16
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


@asynccontextmanager
async def house(endpoint: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """API and one worker, ready."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        own = {"ESSAIM_DATA_DIR": folder, "ESSAIM_API_PORT": str(port), "ESSAIM_CONCURRENCY": "8"}
        quiet = {"ESSAIM_LOG_LEVEL": "INFO", "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        environment = {**own, **quiet, **({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if endpoint else {})}
        processes = [
            subprocess.Popen([sys.executable, "-m", module], env=environment, stderr=subprocess.DEVNULL)
            for module in ("api", "worker")
        ]
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
                while not await ready(http):
                    await asyncio.sleep(0.05)
                yield http
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


async def ready(http: httpx.AsyncClient) -> bool:
    try:
        return bool((await http.get("/v1/workers")).json()["workers"])
    except httpx.TransportError:
        return False


async def jobs_per_second(endpoint: str | None, jobs: int) -> float:
    async with house(endpoint) as http:

        async def client(share: int) -> None:
            for _ in range(share):
                answer = await http.post("/v1/jobs", json=JOB, headers={"prefer": "wait=30"})
                if answer.status_code != 200:
                    raise SystemExit(f"a job did not succeed: {answer.text}")

        await client(5)  # exporters are loaded with the first batch
        began = time.perf_counter()
        await asyncio.gather(*(client(jobs // CLIENTS) for _ in range(CLIENTS)))
        return jobs // CLIENTS * CLIENTS / (time.perf_counter() - began)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    figures: dict[str, list[float]] = {"without": [], "with a collector": [], "with a dead one": []}
    with collector() as alive:
        endpoints = {"without": None, "with a collector": alive, "with a dead one": f"http://127.0.0.1:{free_port()}"}
        for _ in range(arguments.rounds):
            for kind, endpoint in endpoints.items():
                figures[kind].append(await jobs_per_second(endpoint, arguments.jobs))
    base, missed = statistics.median(figures["without"]), 0
    for kind, found in figures.items():
        ratio = statistics.median(found) / base
        missed += ratio < GOAL
        print(f"{kind:18} {statistics.median(found):7.1f} jobs/s   {ratio:.2f} of without   goal {GOAL}")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
