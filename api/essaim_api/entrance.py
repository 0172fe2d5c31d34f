"""What the server has instead of an app until the backends are reached."""

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from essaim.errors import UnavailableError
from essaim.jobs.starting import Starting
from essaim_api.edge import Edge
from essaim_api.errors import BusyError
from essaim_api.problems import respond


class Entrance:
    """Alive from the first moment. What comes while nobody knows yet whether all backends answer is held, for seconds;
    once one is known to be missing, every answer but that of `/livez` is 503 and names it. Then `let_in` to the app.
    """

    def __init__(self, starting: Starting, limit: int) -> None:
        self._starting = starting
        self._limit = limit
        self._held = 0
        self._app: ASGIApp | None = None
        self._closed = Edge(self._answer, limit)

    def let_in(self, app: ASGIApp) -> None:
        """From now on, requests go to the app."""
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
