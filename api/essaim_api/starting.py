"""The ASGI app that answers until the backends are open."""

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from essaim.errors import UnavailableError
from essaim.jobs.process import Starting
from essaim_api.edge import Edge
from essaim_api.errors import BusyError
from essaim_api.problems import respond


class StartingApp:
    """`/livez` answers at once. Other requests wait for the first attempt to open the backends; if one is missing, they get
    503 with its name until all are open. `pass_to` then passes requests to the app.
    """

    def __init__(self, starting: Starting, limit: int) -> None:
        self._starting = starting
        self._limit = limit
        self._held = 0
        self._app: ASGIApp | None = None
        self._closed = Edge(self._answer, limit)

    def pass_to(self, app: ASGIApp) -> None:
        """Pass requests to the app from now on."""
        self._app = app
        self._starting.tried.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None and scope["path"] != "/livez" and self._held < self._limit:
            self._held += 1
            try:
                await self._starting.tried.wait()
            finally:
                self._held -= 1
        await (self._app or self._closed)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response
        if scope["path"] == "/livez":
            answer = JSONResponse({"status": "ok"})
        elif self._starting.missing:
            answer = respond(scope, UnavailableError(f"starting: {self._starting.sentence()}"))
        else:
            answer = respond(scope, BusyError("starting; try again later"))
        await answer(scope, receive, send)
