"""Runs a command's coroutine so that Ctrl-C, SIGTERM and a closed terminal all end it in good order."""

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
    """What the coroutine returns. A signal cancels it; then the exit code is 128 and the signal's number."""
    return asyncio.run(_until_signal(command))


def ask(server: str, token: str, question: "Callable[[Client], Coroutine[Any, Any, T]]") -> T:
    """What the question finds out from this server."""
    from essaim.cli.client import open_client  # a third of a second: not for `--help`

    async def asking() -> T:
        async with open_client(server, token) as client:
            return await question(client)

    return run(asking())


async def _until_signal(command: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(command)
    loop = asyncio.get_running_loop()
    came: list[tuple[signal.Signals, float]] = []

    def leave(number: signal.Signals) -> None:
        # One Ctrl-C may arrive twice (from the terminal and from a parent); only a later one is impatience, which
        # cancels the cleaning up too: children are then killed.
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
