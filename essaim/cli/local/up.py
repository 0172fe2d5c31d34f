"""`essaim up`: the API and local workers, until Ctrl-C."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from essaim.cli.errors import CliError
from essaim.cli.options import Live, Speed, release_name
from essaim.cli.output import note
from essaim.cli.running import run

if TYPE_CHECKING:
    from essaim.cli.local.processes import Local
    from essaim.cli.local.status import LocalStatus

LIVE_SECONDS = 0.25
LINE_SECONDS = 0.5
T = TypeVar("T")
OnStatus = Callable[["LocalStatus"], None]


def up(
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            help="Port to listen on; 0 picks a free one.",
            show_default="ESSAIM_API_PORT or 8080",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Folder for data and logs.", show_default="ESSAIM_DATA_DIR or .essaim"
        ),
    ] = None,
    speed: Speed = 1.0,
    scaledobject: Annotated[
        Path | None, typer.Option("--scaledobject", metavar="FILE", help="KEDA ScaledObject to scale by.")
    ] = None,
    release: Annotated[
        list[str] | None,
        typer.Option(
            "--release",
            metavar="NAME[=DIR]",
            help="Run this release; may be repeated. The first gets all requests at first.",
        ),
    ] = None,
    live: Live = True,
) -> None:
    """Run Essaim on this machine: the API, and workers that scale with the queue. Ctrl-C drains and stops it.

    Each --release has its own API, queue and workers. DIR holds its payload.py or workload.py, or a whole checkout. It is
    copied at start: later edits have no effect. service.json in the data folder sets each release's share of the requests.

    Example: essaim up

    Example: essaim up --port 9000 --data /var/lib/essaim --speed 5

    Example: essaim up --release v1 --release v2=../other-workload
    """
    try:
        run(_up(port, data, speed, scaledobject, release or [], live))
    except typer.Exit:  # Ctrl-C is the normal way to stop it
        note("drained")


async def _up(
    port: int | None, data: Path | None, speed: float, scaledobject: Path | None, named: list[str], live: bool
) -> None:
    from essaim.autoscaler.policy import load
    from essaim.cli.local.processes import open_local
    from essaim.jobs.settings import load_settings

    given = {"api_port": port, "data_dir": data}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    releases = folders(named)
    async with open_local(settings, load(scaledobject), speed=speed, releases=releases) as local:
        note(f"Essaim answers at {local.server}; open it in a browser for a live page")
        note(f"data and logs are in {settings.data_dir}; press Ctrl-C to stop")
        if speed == 1:
            note("workers start as slowly as on a cluster; --speed 5 scales five times as fast")
        if local.service:
            each = ", ".join(f"{it.name} at {it.api.url}" for it in local.releases)
            note(f"{each}; {local.service.path} has their shares of the requests")
        try:
            await show(local, asyncio.Event().wait(), live=live)
        finally:
            note("draining …")


def folders(named: list[str]) -> dict[str, Path | None]:
    """The folder with the code of each release, by name. Raises `CliError` for a duplicate or invalid name."""
    found: dict[str, Path | None] = {}
    for name, _, path in (one.partition("=") for one in named):
        if name in found:
            raise CliError(f"two releases are named {name!r}")
        found[release_name(name)] = Path(path) if path else None
    return found


async def show(
    local: "Local", work: Coroutine[Any, Any, T], *, live: bool = True, on_status: OnStatus | None = None
) -> T:
    """Do the work and meanwhile show the status: live in a terminal, otherwise a line for each change.

    `on_status` is called with each status. Returns and raises what the work does.
    """
    working = asyncio.create_task(work)
    looking = asyncio.create_task(_live(local, on_status) if live and sys.stdout.isatty() else _lines(local, on_status))
    try:
        await asyncio.wait({working, looking}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await looking  # it only ends with an error
        return await working
    finally:
        working.cancel()
        while not looking.done():  # drivers may swallow a cancellation
            looking.cancel()
            await asyncio.wait({looking}, timeout=1)
        await asyncio.gather(working, looking, return_exceptions=True)


async def _live(local: "Local", on_status: OnStatus | None) -> None:
    from rich.console import Console
    from rich.live import Live

    from essaim.cli.local.live import screen

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=True) as view:
        async for status in _poll(local, LIVE_SECONDS, on_status):
            view.update(screen(status, console.width, console.height), refresh=True)


async def _lines(local: "Local", on_status: OnStatus | None) -> None:
    from essaim.cli.local.status import changes

    before: LocalStatus | None = None
    async for status in _poll(local, LINE_SECONDS, on_status):
        for line in changes(before, status):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        before = status


async def _poll(local: "Local", pause: float, on_status: OnStatus | None) -> "AsyncIterator[LocalStatus]":
    from essaim.errors import UnavailableError

    while True:
        try:
            status = await local.status()
        except UnavailableError:  # the store is unreachable: the autoscaler says so, and the view stays as it is
            pass
        else:
            if on_status is not None:
                on_status(status)
            yield status
        await asyncio.sleep(pause)
