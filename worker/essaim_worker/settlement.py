"""How a delivery is settled: by exactly one of these."""

import logging
from dataclasses import dataclass

from essaim.telemetry import log


@dataclass(frozen=True)
class Ack:
    """Nothing is left to do."""


@dataclass(frozen=True)
class Retry:
    """Deliver it again in about `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Release:
    """Deliver it again now, to whichever worker is free."""


@dataclass(frozen=True)
class Park:
    """Move it to the dead letters, for a person to look at."""

    reason: str


Settlement = Ack | Retry | Release | Park


def park(reason: str, error: Exception | None = None) -> Park:
    log("message.parked", level=logging.ERROR, reason=reason, error=error)
    return Park(reason)
