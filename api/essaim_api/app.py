"""The HTTP app. `register` shows the whole API on one screen."""

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter

from essaim import telemetry
from essaim.jobs.payload import load_payload
from essaim.jobs.service import JobService
from essaim_api.context import AppContext
from essaim_api.edge import Edge
from essaim_api.endpoint import add
from essaim_api.handlers import handle_problems
from essaim_api.openapi import Api
from essaim_api.readiness import Readiness
from essaim_api.routes import health, jobs, operations, page, texts
from essaim_api.security import digests

if TYPE_CHECKING:  # start-up time
    from essaim.jobs.backends import Backends
    from essaim.jobs.settings import Settings

TITLE = "Essaim"
SUMMARY = "Long jobs over HTTP, on workers that come and go with the queue."


def create_app(settings: "Settings", backends: "Backends", draining: asyncio.Event | None = None) -> Api:
    """The app over open backends. The caller closes them, and sets `draining` first."""
    app = Api(
        load_payload(settings.workload),
        title=TITLE,
        summary=SUMMARY,
        version=settings.release,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        telemetry=telemetry.http(),
    )
    app.state.context = AppContext(
        settings,
        backends,
        JobService(backends, settings),
        Readiness(backends),
        app.payload,
        digests(settings.tokens()),
        draining or asyncio.Event(),
    )
    app.add_middleware(Edge, limit=settings.max_open_requests)
    handle_problems(app)
    register(app.router)
    return app


def register(api: APIRouter) -> None:
    """All routes of the API, and the live page, which is not part of the OpenAPI document. Routes are matched in this
    order, so the busiest come first.
    """
    add(api, "POST", "/v1/jobs", jobs.submit)
    add(api, "GET HEAD", "/v1/jobs", jobs.index)
    add(api, "GET HEAD", "/v1/jobs/{id}", jobs.show)
    add(api, "DELETE", "/v1/jobs/{id}", jobs.cancel)
    add(api, "POST", "/v1/jobs/{id}/retry", jobs.retry)
    add(api, "GET", "/v1/jobs/{id}/result", jobs.result)
    add(api, "GET HEAD", "/v1/jobs/{id}/tasks", jobs.tasks)
    add(api, "GET", "/v1/jobs/{id}/events", jobs.follow)

    api.add_route("/", page.index)
    api.add_route("/static/{name}", page.file)

    add(api, "GET HEAD", "/livez", health.livez, public=True)
    add(api, "GET HEAD", "/readyz", health.readyz, public=True)

    add(api, "GET HEAD", "/v1/texts", texts.index)
    add(api, "PUT", "/v1/texts/{name:path}", texts.put)
    add(api, "GET", "/v1/texts/{name:path}", texts.get)
    add(api, "HEAD", "/v1/texts/{name:path}", texts.head)
    add(api, "DELETE", "/v1/texts/{name:path}", texts.delete)

    add(api, "GET HEAD", "/v1/workers", operations.workers)
    add(api, "GET HEAD", "/v1/stats", operations.stats)
    add(api, "GET HEAD", "/v1/dead-letters", operations.dead_letters)
    add(api, "POST", "/v1/dead-letters/replay", operations.replay)
