"""How full the queue is, said again and again, for whoever asks later why there were so many workers."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from essaim.errors import UnavailableError
from essaim.jobs.model import Depth
from essaim.jobs.ports import JobQueue
from essaim.telemetry import log

WATCH_SECONDS = 5.0
QUIET_SECONDS = 15.0  # the dashboards take a process that says nothing for longer as gone


async def watch(
    queue: JobQueue, running: Callable[[], int], *, every: float = WATCH_SECONDS, quiet: float = QUIET_SECONDS
) -> None:
    """Look `every` so many seconds, and log it when it has changed, or nothing was said for `quiet` seconds.

    So each line is also a sign of life. Workers do so, and the API too: while there are no workers, nobody else knows
    what waits for them.
    """
    loop = asyncio.get_running_loop()
    before: Depth | None = None
    said = loop.time()
    while True:
        with suppress(UnavailableError):
            depth = await queue.depth()
            if depth != before or loop.time() + every > said + quiet:
                log("queue.depth", ready=depth.ready, in_flight=depth.in_flight, running=running())
                before, said = depth, loop.time()
        await asyncio.sleep(every)
