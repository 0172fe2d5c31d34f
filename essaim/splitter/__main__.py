"""`python -m essaim.splitter`: the split on one machine. Listens where the settings say, until SIGTERM, SIGINT or the end of
its parent.

The file in the settings' data folder says who gets how much.
"""

import asyncio
import socket
import sys
from types import FrameType

import httpcore
import uvicorn

from essaim.jobs.process import instance_name, parent_gone, run_process
from essaim.jobs.settings import Settings
from essaim.splitter.proxy import IDLE_SECONDS, Proxy, Split
from essaim.splitter.service_file import FILE, LocalService
from essaim_api.connection import ConnectionConfig

DRAIN_SECONDS = 6  # longer than an API, which ends its streams and waits by itself
BACKLOG = 2048


class SplitterServer(uvicorn.Server):
    """Stops gracefully with exit code 0; uvicorn's own raises the signal again at the end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True


async def serve(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    split = Split(LocalService(settings.data_dir / FILE))
    pool = httpcore.AsyncConnectionPool(max_connections=None, keepalive_expiry=IDLE_SECONDS)
    with socket.create_server((settings.api_host, settings.api_port), family=family, backlog=BACKLOG) as listening:
        async with pool:
            config = ConnectionConfig(
                Proxy(split, pool),
                settings,
                log_level="critical",  # an answer that is cut off is logged where that happens
                date_header=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
            server = SplitterServer(config)
            orphaned = asyncio.create_task(parent_gone())
            orphaned.add_done_callback(lambda _: setattr(server, "should_exit", True))
            await server.serve([listening])
            orphaned.cancel()


if __name__ == "__main__":
    sys.exit(run_process("split", instance_name(), serve))
