"""Is it alive, and can it do its work? For those who start, stop and route."""

from essaim_api.context import Here
from essaim_api.endpoint import endpoint
from essaim_api.views import Health


@endpoint()
async def livez() -> Health:
    """The process answers."""
    return Health(status="ok")


@endpoint()
async def readyz(here: Here) -> Health:
    """Queue, job store and text store have answered in the last half minute."""
    await here.readiness.check()
    return Health(status="ok")
