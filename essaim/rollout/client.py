"""A client of the HTTP API of a release, and its addresses. It retries: the server may just be starting."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from essaim.errors import EssaimError, UnavailableError
from essaim.rollout.service import JsonObject, cluster_url, tag_url

if TYPE_CHECKING:  # start-up time
    import httpx


ANSWER_SECONDS = 30.0  # the first one may wait for a pod
PATIENCE_SECONDS = 10.0  # then the next look tries again
PAUSE_SECONDS = 1.0
PAGE = 200
PASSING = {404, 429, 500, 502, 503, 504}  # also of an ingress that does not know the way yet


class RemoteError(EssaimError):
    """The API answers, but says no. `status` is the HTTP status."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass
class Clock:
    """The one that dates the jobs, as far as answers tell (in whole seconds): this machine's may be another."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def heard(self, date: str) -> None:
        ahead = parsedate_to_datetime(date) - datetime.now(UTC)
        self.ahead = ahead if abs(ahead) > timedelta(seconds=2) else timedelta()


class Remote:
    """Methods raise `RemoteError`, and `UnavailableError` where no answer comes for a while."""

    def __init__(self, http: "httpx.AsyncClient", server: str, patience: float, clock: Clock) -> None:
        self.server = server
        self.clock = clock
        self._http = http
        self._patience = patience

    async def get(self, path: str, **params: object) -> Any:
        return await self._call("GET", path, params={name: it for name, it in params.items() if it is not None})

    async def submit(self, request: object, key: str) -> JsonObject:
        job: JsonObject = await self._call("POST", "/v1/jobs", json=request, headers={"idempotency-key": key})
        return job

    async def take(self, job: str, release: str) -> JsonObject:
        """Run the job here, which has failed or is open in that release. What it was before is no longer waited for."""
        retried: JsonObject = await self._call("POST", f"/v1/jobs/{job}/retry", params={"from": release})
        return retried

    async def cancel(self, job: str) -> None:
        await self._call("DELETE", f"/v1/jobs/{job}")

    async def job(self, job: str) -> JsonObject:
        found: JsonObject = await self.get(f"/v1/jobs/{job}")
        return found

    async def result(self, job: str) -> Any:
        return await self._call("GET", f"/v1/jobs/{job}/result")

    async def jobs(self, release: str, state: str | None = None) -> AsyncIterator[JsonObject]:
        """The jobs of that release, newest first, without requests and results."""
        cursor: str | None = None
        while True:
            page = await self.get("/v1/jobs", release=release, state=state, limit=PAGE, cursor=cursor)
            for job in page["jobs"]:
                yield job
            if (cursor := page["cursor"]) is None:
                return

    async def _call(self, method: str, path: str, **request: Any) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await self._once(method, path, request)
            except UnavailableError:
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _once(self, method: str, path: str, request: Any) -> Any:
        import httpx

        try:
            answer = await self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise UnavailableError(f"{self.server} does not answer: {str(error) or type(error).__name__}") from error
        json = "json" in answer.headers.get("content-type", "")
        if date := answer.headers.get("date"):
            self.clock.heard(date)
        if answer.is_success and json:
            return answer.json()
        because = f"{self.server} answers {answer.status_code} to {method} {path}"
        if answer.is_success or (answer.status_code in PASSING and not (json and answer.status_code == 404)):
            raise UnavailableError(because)
        detail = answer.json().get("detail") if json else ""
        raise RemoteError(f"{because}: {detail or answer.reason_phrase}", answer.status_code)


@asynccontextmanager
async def open_remote(
    url: str, clock: Clock, *, ingress: str = "", token: str = "", patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Remote]:
    """The API at `url`; with `ingress`, by way of that address, where names cannot be resolved."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # no command line of its own: see essaim/cli/__init__.py
    import httpx

    headers = {"authorization": f"Bearer {token}"} if token else {}
    if ingress:
        headers["host"] = urlsplit(url).netloc
    local = urlsplit(ingress or url).hostname in ("127.0.0.1", "localhost", "::1")
    # A connection for each request: one that is kept would stay with the pod that answered first, whatever the split says.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=ingress or url, headers=headers, timeout=ANSWER_SECONDS, trust_env=not local, limits=limits
    ) as http:
        yield Remote(http, url, patience, clock)


@dataclass(frozen=True)
class Site:
    """`ingress`: an address to go by, with the Service's name as Host, where names cannot be resolved. `inside` a cluster
    there are others, which always can.
    """

    ingress: str = ""
    token: str = ""
    inside: bool = False
    patience: float = PATIENCE_SECONDS
    clock: Clock = field(default_factory=Clock)

    def main(self, service: JsonObject) -> AbstractAsyncContextManager[Remote]:
        """The API at the Service's URL: the split picks the release. Raises `UnavailableError` while there is no address."""
        return self._open(cluster_url(service) if self.inside else service["status"].get("url"), service)

    def tagged(self, service: JsonObject, tag: str) -> AbstractAsyncContextManager[Remote]:
        """The release with that tag."""
        url = tag_url(service, tag)
        return self._open(cluster_url(service, tag) if url and self.inside else url, service)

    def _open(self, url: str | None, service: JsonObject) -> AbstractAsyncContextManager[Remote]:
        if not url:
            raise UnavailableError(f"the Service {service['metadata']['name']} has no address yet")
        return open_remote(url, self.clock, ingress=self.ingress, token=self.token, patience=self.patience)
