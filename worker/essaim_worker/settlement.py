"""How to settle a delivery, once the work it asked for is done: `await settlement(delivery)`."""

import logging
from collections.abc import Awaitable, Callable

from essaim.jobs.ports import Delivery
from essaim.telemetry import log

Settlement = Callable[[Delivery], Awaitable[None]]


def ack() -> Settlement:
    return lambda delivery: delivery.ack()


def release() -> Settlement:
    return lambda delivery: delivery.release()


def retry(seconds: float) -> Settlement:
    return lambda delivery: delivery.retry(seconds)


def park(reason: str) -> Settlement:
    return lambda delivery: delivery.park(reason)


def report_and_park(reason: str, error: Exception | None = None) -> Settlement:
    log("message.parked", level=logging.ERROR, reason=reason, error=error)
    return park(reason)
