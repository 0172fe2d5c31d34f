"""Liveness and readiness probes."""

from essaim_api.context import Context
from essaim_api.endpoint import endpoint
from essaim_api.views import Health


@endpoint()
async def livez() -> Health:
    """The process answers."""
    return Health(status="ok")


@endpoint()
async def readyz(context: Context) -> Health:
    """Queue, job store and text store have answered in the last half minute."""
    await context.readiness.check()
    return Health(status="ok")
