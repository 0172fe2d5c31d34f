"""`essaim up`: the API and local workers, until Ctrl-C."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from essaim.cli.errors import CliError
from essaim.cli.names import release_name
from essaim.cli.output import note
from essaim.cli.running import run

if TYPE_CHECKING:
    from essaim.cli.local.processes import Local
    from essaim.cli.local.status import Scene

LIVE_SECONDS = 0.25
LINE_SECONDS = 0.5
T = TypeVar("T")
Seen = Callable[["Scene"], None]


def up(
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            help="Where to listen; 0 takes a free one.",
            show_default="ESSAIM_API_PORT or 8080",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Where everything is kept.", show_default="ESSAIM_DATA_DIR or .essaim"
        ),
    ] = None,
    speed: Annotated[
        float, typer.Option("--speed", min=0.1, max=100, metavar="X", help="How fast time runs in the autoscaler.")
    ] = 1.0,
    scaledobject: Annotated[
        Path | None, typer.Option("--scaledobject", metavar="FILE", help="Rules for the number of workers (KEDA).")
    ] = None,
    release: Annotated[
        list[str] | None,
        typer.Option(
            "--release", metavar="NAME[=DIR]", help="Several side by side; the first has all requests at first."
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--live/--no-live", help="A live view, in a terminal; otherwise lines.")] = True,
) -> None:
    """Run Essaim on this machine: the API, and workers that come and go with the queue. Ctrl-C drains it all.

    Each --release has an API, a queue and workers of its own. DIR holds another payload.py or workload.py for it, or a whole
    checkout; what is edited there later does not count. service.json in the data folder says who gets how many of the requests.

    Example: essaim up

    Example: essaim up --port 9000 --data /var/lib/essaim --speed 5

    Example: essaim up --release v1 --release v2=../other-workload
    """
    try:
        run(_up(port, data, speed, scaledobject, release or [], live))
    except typer.Exit:  # Ctrl-C is how it is meant to end
        note("everything is drained")


async def _up(
    port: int | None, data: Path | None, speed: float, scaledobject: Path | None, named: list[str], live: bool
) -> None:
    from essaim.cli.local.processes import open_local, rules
    from essaim.jobs.settings import load_settings

    given = {"api_port": port, "data_dir": data}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    releases = folders(named)
    async with open_local(settings, rules(scaledobject), speed=speed, releases=releases) as local:
        note(f"Essaim answers at {local.server}; a browser finds a live page there")
        note(f"data and logs are in {settings.data_dir}; Ctrl-C ends it")
        if speed == 1:
            note("workers come as slowly as on a cluster; --speed 5 scales five times as fast")
        if local.service:
            each = ", ".join(f"{it.name} at {it.api.url}" for it in local.releases)
            note(f"{each}; who gets how many of the requests is in {local.service.path}")
        try:
            await show(local, forever(), live=live)
        finally:
            note("draining …")


def folders(named: list[str]) -> dict[str, Path | None]:
    """The folder with the code of each release, by its name. Raises `CliError` for one that comes twice, or is none."""
    found: dict[str, Path | None] = {}
    for name, _, path in (one.partition("=") for one in named):
        if name in found:
            raise CliError(f"two releases are named {name!r}")
        found[release_name(name)] = Path(path) if path else None
    return found


async def forever() -> None:
    await asyncio.Event().wait()


async def show(local: "Local", work: Coroutine[Any, Any, T], *, live: bool = True, also: Seen | None = None) -> T:
    """Do the work, and show what goes on until it is done: live in a terminal, otherwise a line for each change.

    `also` is called with each scene. Returns and raises what the work does.
    """
    working = asyncio.create_task(work)
    looking = asyncio.create_task(_live(local, also) if live and sys.stdout.isatty() else _lines(local, also))
    try:
        await asyncio.wait({working, looking}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await looking  # it does not end but with an error
        return await working
    finally:
        working.cancel()
        while not looking.done():  # a driver may swallow a cancellation
            looking.cancel()
            await asyncio.wait({looking}, timeout=1)
        await asyncio.gather(working, looking, return_exceptions=True)


async def _live(local: "Local", also: Seen | None) -> None:
    from rich.console import Console
    from rich.live import Live

    from essaim.cli.local.live import screen

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=True) as view:
        async for scene in _scenes(local, LIVE_SECONDS, also):
            view.update(screen(scene, console.width, console.height), refresh=True)


async def _lines(local: "Local", also: Seen | None) -> None:
    from essaim.cli.local.status import changes

    before: Scene | None = None
    async for scene in _scenes(local, LINE_SECONDS, also):
        for line in changes(before, scene):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        before = scene


async def _scenes(local: "Local", pause: float, also: Seen | None) -> "AsyncIterator[Scene]":
    from essaim.errors import UnavailableError

    while True:
        try:
            scene = await local.scene()
        except UnavailableError:  # the store is slow or away: the autoscaler says so, and the view stands still
            pass
        else:
            if also is not None:
                also(scene)
            yield scene
        await asyncio.sleep(pause)
