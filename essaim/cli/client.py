"""The HTTP client: requests, JSON responses, and problem details turned into readable errors."""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import httpx

from essaim.cli.errors import AbsentError, CliError, RefusedError, UnreachableError
from essaim.units import plural

JsonObject = dict[str, Any]
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 90.0  # `Prefer: wait` may take a minute


class Client:
    """One server. Methods return the decoded JSON; all raise `UnreachableError` and `RefusedError`."""

    def __init__(self, server: str, http: httpx.AsyncClient) -> None:
        self.server = server
        self._http = http

    async def get(self, path: str, **params: object) -> Any:
        return await self.call(
            "GET", path, params={name: value for name, value in params.items() if value not in (None, [])}
        )

    async def call(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of the response; None if it has no body."""
        async with self.stream(method, path, **request) as response:
            body = await response.aread()
        if not body:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise RefusedError(
                response.status_code, f"{self.server} did not answer with JSON: is it Essaim?"
            ) from error

    @asynccontextmanager
    async def stream(self, method: str, path: str, **request: Any) -> AsyncIterator[httpx.Response]:
        """The open response. Raises for a problem."""
        try:
            async with self._http.stream(method, path, **request) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal(self.server, response)
                yield response
        except httpx.TransportError as error:
            raise UnreachableError(self.server, reason(error)) from error

    async def put_text(self, name: str, chunks: AsyncIterable[bytes], size: int | None = None) -> JsonObject:
        """Store a text. With `size` in bytes, the server can refuse a text that is too large before it is sent."""
        headers = {} if size is None else {"content-length": str(size)}
        stored: JsonObject = await self.call("PUT", self.text_path(name), content=chunks, headers=headers)
        return stored

    async def pages(self, path: str, items: str, mark: str = "cursor", **params: object) -> AsyncIterator[JsonObject]:
        """The `items` of all pages. `mark` names what each page says of the next one."""
        following: object = None
        while True:
            page = await self.get(path, **params, **{mark: following})
            for item in page[items]:
                yield item
            if (following := page[mark]) is None:
                return

    @staticmethod
    def text_path(name: str) -> str:
        return f"/v1/texts/{quote(name)}"

    async def submit(self, request: object, key: str | None = None, callback: str | None = None) -> JsonObject:
        headers = {} if key is None else {"idempotency-key": key}
        params = {} if callback is None else {"callback": callback}
        job: JsonObject = await self.call("POST", "/v1/jobs", json=request, headers=headers, params=params)
        return job


@asynccontextmanager
async def open_client(server: str, token: str = "") -> AsyncIterator[Client]:
    """A client of the server at this URL. Raises `CliError` for an invalid URL."""
    async with open_http(server, {"authorization": f"Bearer {token}"} if token else {}) as http:
        yield Client(str(http.base_url).rstrip("/"), http)


def open_http(
    server: str,
    headers: Mapping[str, str] = MappingProxyType({}),
    advice: str = "write --server http://host:port",
    *,
    direct: bool = False,
) -> httpx.AsyncClient:
    """An HTTP client for this URL; `direct` ignores configured proxies. Raises `CliError` for an invalid URL."""
    url = _address(server, advice)
    local = url.hostname in ("127.0.0.1", "localhost", "::1")
    return httpx.AsyncClient(
        base_url=url.geturl().rstrip("/"),
        headers=headers,
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        trust_env=not (local or direct),  # a configured proxy cannot reach this machine's loopback
        verify=False if local and url.scheme == "http" else ssl.create_default_context(),  # loading roots takes 20 ms
    )


def _address(server: str, advice: str) -> SplitResult:
    try:
        url = urlsplit(server if "://" in server else f"http://{server}")
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return url
    except ValueError:
        pass
    raise CliError(f"{server!r} is not a server's address: {advice}")


def refusal(server: str, response: httpx.Response) -> RefusedError:
    """The error for a response with problem details."""
    status = response.status_code
    try:
        problem = response.json()
        detail = str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        return RefusedError(status, f"{server} answers {status} {response.reason_phrase}: is it Essaim?")
    lines = [detail]
    for field in problem.get("errors") or ():
        where = field.get("parameter") or field.get("pointer", "").removeprefix("#") or "the request"
        lines.append(f"  {where}: {field.get('detail')}")
    if status == 401:
        lines.append("  pass a token with --token or ESSAIM_TOKEN")
    if after := response.headers.get("retry-after"):
        lines.append(f"  try again in {plural(int(after), 'second') if after.isdigit() else after}")
    return (AbsentError if status == 404 else RefusedError)(status, "\n".join(lines))


def reason(error: httpx.TransportError) -> str:
    """A few words for the network error."""
    match error:
        case httpx.ConnectTimeout():
            return f"no connection within {CONNECT_SECONDS:.0f} seconds"
        case httpx.ReadTimeout():
            return f"silent for {ANSWER_SECONDS:.0f} seconds"
        case httpx.ConnectError():
            return "no connection"
        case _:
            return str(error) or type(error).__name__
