"""`python -m essaim_worker`: handle deliveries until SIGTERM, SIGINT or the end of the parent process; drain, exit 0."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack

from essaim import telemetry
from essaim.errors import EssaimError
from essaim.jobs.backends import open_backends
from essaim.jobs.process import freeze_gc, parent_gone, unless
from essaim.jobs.settings import Settings, load_settings
from essaim_worker.consumer import Consumer


async def work(settings: Settings, worker: str) -> None:
    leaving, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.set)
    orphaned = asyncio.create_task(parent_gone())
    orphaned.add_done_callback(lambda _: leaving.set())
    async with AsyncExitStack() as stack:
        backends = await unless(leaving, stack.enter_async_context(open_backends(settings)))
        if backends is not None:
            freeze_gc()
            await Consumer(backends, settings, worker, leaving).run()
    orphaned.cancel()


def main() -> int:
    try:
        settings = load_settings()
        worker = os.environ.get("ESSAIM_WORKER_ID") or f"{socket.gethostname()}-{os.getpid()}"
        telemetry.configure(settings, "worker", worker)
        try:
            _run(settings, worker)
        finally:
            telemetry.close(settings.drain_seconds)
    except EssaimError as error:
        sys.stderr.write(f"essaim worker: {error}\n")
        return 2
    return 0


def _run(settings: Settings, worker: str) -> None:
    try:
        import uvloop  # a quarter more messages per second; not available on Windows

        uvloop.run(work(settings, worker))
    except ImportError:
        asyncio.run(work(settings, worker))


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # do not wait for a workload's thread that has not stopped in time
