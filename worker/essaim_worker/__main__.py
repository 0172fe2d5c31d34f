"""`python -m essaim_worker`: handle deliveries until SIGTERM, SIGINT or the end of the parent process; drain, exit 0."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack

from essaim.jobs.backends import open_backends
from essaim.jobs.process import freeze_gc, instance_name, parent_gone, run_process, unless
from essaim.jobs.settings import Settings
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


if __name__ == "__main__":
    name = os.environ.get("ESSAIM_WORKER_ID") or instance_name()
    code = run_process("worker", name, lambda settings: work(settings, name))
    sys.stderr.flush()
    os._exit(code)  # do not wait for a workload's thread that has not stopped in time
