"""locust as a child process: it has the greenlets, and a CPU core, to itself."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from essaim.cli.errors import CliError
from essaim.runs.traffic import PREFIX
from loadtests.load.local import end

LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"
LOG = "generator.log"


@asynccontextmanager
async def open_generator(
    server: str, folder: Path, options: Sequence[str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Started; it ends by itself when all visitors have left, or else target."""
    command = (
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--host", server),
        *("--only-summary", "--exit-code-on-error", "0", "--csv", str(folder / PREFIX), "--folder", str(folder)),
        *options,
    )
    with (folder / LOG).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            await end(process)


def check(process: asyncio.subprocess.Process, folder: Path) -> None:
    """Raises `CliError` with the end of its log when it has failed."""
    if process.returncode not in (0, -signal.SIGTERM):
        lines = (folder / LOG).read_text(errors="replace").splitlines()[-15:]
        raise CliError("\n  ".join([f"the load generator failed ({process.returncode}); its log ends:", *lines]))
