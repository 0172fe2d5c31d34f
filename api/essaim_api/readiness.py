"""Readiness probes: whether the backends answer. Some probers ask many times a second."""

import asyncio
import logging
from collections.abc import Awaitable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from essaim.errors import JobNotFoundError, TextNotFoundError, UnavailableError
from essaim.telemetry import log

if TYPE_CHECKING:  # start-up time
    from essaim.jobs.backends import Backends

PROBES = ("/livez", "/readyz")
PATIENCE_SECONDS = 2.0  # probes commonly give up after one to three
HOLDS_SECONDS = 1.0
TOLERATED_SECONDS = 30.0
NOBODY = str(UUID(int=0))


class Readiness:
    """Ready means that each backend has answered lately.

    A slow backend is slow for every process. If that made them all unready, nobody would be left to answer `503` with
    `Retry-After`, and probes ten times a second would keep the backend slow. So probes share one check at a time, and its
    outcome holds for a second.
    """

    def __init__(self, backends: "Backends") -> None:
        self._backends = backends
        self._check: asyncio.Task[None] | None = None
        self._checked = -inf
        self._answered: dict[str, float] = {}
        self._silent: dict[str, str] = {}  # at the last check, and why

    async def check(self) -> None:
        """Raises `UnavailableError` naming the backends that have not answered for `TOLERATED_SECONDS`, or never will."""
        if self._check is None or (self._check.done() and monotonic() > self._checked + HOLDS_SECONDS):
            self._check = asyncio.create_task(self._ask_all())
        await asyncio.shield(self._check)  # others may be waiting for it too
        last = monotonic() - TOLERATED_SECONDS
        silent = [why for name, why in self._silent.items() if self._answered.get(name, -inf) < last]
        if silent:
            raise UnavailableError("; ".join(silent))

    async def _ask_all(self) -> None:
        try:
            await asyncio.gather(
                self._ask("the queue", self._backends.queue.depth()),
                self._ask("the job store", self._backends.store.get(NOBODY)),
                self._ask("the text store", self._backends.texts.stat(NOBODY)),
            )
        finally:
            self._checked = monotonic()

    async def _ask(self, name: str, question: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await question
        except (JobNotFoundError, TextNotFoundError):
            pass
        except (UnavailableError, TimeoutError) as error:
            reason = str(error) or "it is too slow"
            if name not in self._silent:
                log("backend.silent", level=logging.WARNING, backend=name, reason=reason)
            self._silent[name] = f"{name} does not answer: {reason}"
            if isinstance(error, UnavailableError) and error.lasting:
                self._answered.pop(name, None)
            return
        self._answered[name] = monotonic()
        if self._silent.pop(name, None) is not None:
            log("backend.reached", backend=name)
