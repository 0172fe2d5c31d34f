"""The live page at `/`: static files without access control. Their data comes from the API, which requires the token."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import Request, Response

from essaim_api.conditions import names
from essaim_api.errors import FileChangedError, RouteNotFoundError

FOLDER = Path(__file__).parents[1] / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# The page shows untrusted data. Even if markup got in, it could neither run scripts nor make requests.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # revalidate each time: during a rollout, two versions of these files share one address
    "Cache-Control": "no-cache",
}


async def index(request: Request) -> Response:
    """The page."""
    return _answer(request, "index.html")


async def file(request: Request) -> Response:
    """A file of the page."""
    return _answer(request, request.path_params["name"])


def _answer(request: Request, name: str) -> Response:
    if name not in _names():
        raise RouteNotFoundError(f"no route leads to {request.scope['path']}")
    content, tag = _read(name)
    headers = {**HEADERS, "ETag": tag}
    if "if-match" in request.headers and not names(request.headers, "if-match", tag, weak=False):
        raise FileChangedError(f"{name} is now version {tag}")
    if names(request.headers, "if-none-match", tag, weak=True):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=TYPES[Path(name).suffix])


@cache
def _names() -> frozenset[str]:
    """Files are looked up by name, never by path: nothing outside the folder can be served."""
    return frozenset(path.name for path in FOLDER.iterdir() if path.suffix in TYPES)


@cache
def _read(name: str) -> tuple[bytes, str]:
    """The content of a file, and its entity tag."""
    content = (FOLDER / name).read_bytes()
    return content, f'"{sha256(content).hexdigest()[:32]}"'
