"""Essaim on this machine, for one run only: `essaim up`, with all it keeps in a folder that nobody else knows of."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from essaim.cli.errors import CliError

GRACE_SECONDS = 30.0
SAID, LOG = "Essaim answers at ", "up.log"


@asynccontextmanager
async def open_essaim(folder: Path, speed: float, scaledobject: Path | None) -> AsyncIterator[tuple[str, int]]:
    """Its URL and its process. Raises `CliError` with what it said, when it does not come up."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ESSAIM_")}
    rules = ["--scaledobject", str(scaledobject)] if scaledobject else []
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "essaim.cli", "up", "--port", "0", "--data", str(folder), "--speed", str(speed)),
            *(*rules, "--no-live"),
            env=clean,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield await _address(process), process.pid
        finally:
            await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """Ask it to leave; it goes, sooner or later."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = []
    while line := (await process.stderr.readline()).decode():
        if line.startswith(SAID):
            return line.removeprefix(SAID).split(";")[0]
        said.append(line)
    raise CliError("".join(["Essaim did not start:\n", *said]).rstrip())
