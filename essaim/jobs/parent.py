"""A child process that outlives its parent is an orphan nobody drains. The parent passes a pipe; its end tells."""

import asyncio
import os

PARENT_FD = "ESSAIM_PARENT_FD"


async def parent_gone() -> None:
    """Return once the inherited pipe named by `ESSAIM_PARENT_FD` is at its end; without one, never.

    The kernel closes the parent's side however the parent dies, kill -9 included.
    """
    number = os.environ.get(PARENT_FD)
    if number is None:
        await asyncio.Event().wait()
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(int(number), gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(int(number))
