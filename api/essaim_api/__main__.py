"""`python -m essaim_api`: serve HTTP until SIGTERM, SIGINT or the end of the parent process, then drain and exit 0."""

import asyncio
import os
import socket
import sys

from essaim import telemetry
from essaim.errors import EssaimError
from essaim.jobs.settings import load_settings
from essaim_api.server import serve


def main() -> int:
    try:
        settings = load_settings()
        telemetry.configure(settings, "api", f"{socket.gethostname()}-{os.getpid()}")
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(serve(settings))
        finally:
            telemetry.close(settings.drain_seconds)
    except (EssaimError, OSError) as error:
        sys.stderr.write(f"essaim api: {error}\n")
        return 2
    return 0


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # a quarter more requests per second, if installed

        return uvloop.Loop
    except ImportError:
        return None


if __name__ == "__main__":
    code = main()
    if code:
        sys.stderr.flush()
        os._exit(code)  # a driver's thread that is still connecting sometimes aborts the interpreter at exit
