"""Run a command's coroutine; Ctrl-C, SIGTERM and a closed terminal cancel it cleanly."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from essaim.cli.client import Client

T = TypeVar("T")
IMPATIENT_SECONDS = 1.0


def run(command: Coroutine[Any, Any, T]) -> T:
    """Return the coroutine's result. A signal cancels it, with exit code 128 + the signal's number."""
    return asyncio.run(_until_signal(command))


def with_client(server: str, token: str, use: "Callable[[Client], Coroutine[Any, Any, T]]") -> T:
    """Run `use` with a client of this server."""
    from essaim.cli.client import open_client  # takes a third of a second, which `--help` need not wait for

    async def using() -> T:
        async with open_client(server, token) as client:
            return await use(client)

    return run(using())


async def _until_signal(command: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(command)
    loop = asyncio.get_running_loop()
    came: list[tuple[signal.Signals, float]] = []

    def leave(number: signal.Signals) -> None:
        # One Ctrl-C may arrive twice, from the terminal and from a parent. Only a later one cancels the cleanup too:
        # children are then killed.
        if not came or loop.time() - came[-1][1] > IMPATIENT_SECONDS:
            came.append((number, loop.time()))
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leave, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not came:
            raise
        raise typer.Exit(128 + came[0][0]) from None
