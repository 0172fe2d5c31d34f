"""One API process: its socket, uvicorn and graceful shutdown."""

import asyncio
import contextlib
import signal
import socket
from contextlib import AsyncExitStack
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from essaim.jobs.backends import open_backends
from essaim.jobs.process import Starting, freeze_gc, parent_gone, unless
from essaim.jobs.settings import Settings
from essaim.jobs.watching import watch
from essaim.telemetry import is_exporting, log
from essaim_api.app import create_app
from essaim_api.connection import ConnectionConfig
from essaim_api.starting import StartingApp

DRAIN_SECONDS = 3  # for transfers; streams and waits end at once
BACKLOG = 2048


class HttpServer(uvicorn.Server):
    """Stops on SIGTERM, SIGINT or `leave`: takes no new connections, ends streams, finishes requests, exits with 0."""

    def __init__(self, app: ASGIApp, settings: Settings, draining: asyncio.Event) -> None:
        # uvicorn's warnings are about what clients send
        super().__init__(ConnectionConfig(app, settings, log_level="error", timeout_graceful_shutdown=DRAIN_SECONDS))
        self._draining = draining
        self._loop = asyncio.get_running_loop()

    def leave(self) -> None:
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._drain)  # signals come at any point

    def _drain(self) -> None:
        if not self._draining.is_set():
            log("api.draining")
            self._draining.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own raises the signal again at the end, so that the exit code is not 0
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.leave()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            log("api.listening", address=address(listening))


async def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises as `open_backends`, and `OSError` if the address is not available."""
    with listen(settings) as listening:
        starting, draining = Starting(), asyncio.Event()
        waiting = StartingApp(starting, settings.max_open_requests)
        server = HttpServer(waiting, settings, draining)
        orphaned = asyncio.create_task(parent_gone())
        orphaned.add_done_callback(lambda _: server.leave())
        serving = asyncio.create_task(server.serve([listening]))
        async with AsyncExitStack() as stack:
            try:
                opening = stack.enter_async_context(open_backends(settings, starting))
                if (backends := await unless(draining, opening)) is not None:
                    app = create_app(settings, backends, draining)
                    freeze_gc()
                    waiting.pass_to(app)
                    if is_exporting():
                        stack.callback(asyncio.create_task(watch(backends.queue, lambda: 0)).cancel)
                    await serving
            finally:
                draining.set()
                starting.tried.set()
                server.should_exit = True
                await serving
            orphaned.cancel()
            tasks = {orphaned, *server.server_state.tasks}
            await asyncio.wait(tasks, timeout=1)  # cancelled requests clean up while the backends are open


def listen(settings: Settings) -> socket.socket:
    """A socket on the configured address; the kernel drops clients that acknowledge nothing for `idle_seconds`."""
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    listening = socket.create_server((settings.api_host, settings.api_port), family=family, backlog=BACKLOG)
    with contextlib.suppress(AttributeError, OSError):  # Linux only
        milliseconds = int(settings.idle_seconds * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return listening


def address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
