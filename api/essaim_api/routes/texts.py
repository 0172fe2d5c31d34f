"""Texts: named files, streamed in and out."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Path, Query, Request, Response

from essaim.errors import (
    RangeInvalidError,
    RequestInvalidError,
    TextChangedError,
    TextExistsError,
    TextNameError,
    TextNotFoundError,
    TextTooLargeError,
)
from essaim.jobs.model import Text
from essaim_api.bodies import Streamed, received
from essaim_api.conditions import byte_range, check_before_read, check_before_write, entity_tag, not_modified
from essaim_api.context import AppContext, Context
from essaim_api.endpoint import endpoint
from essaim_api.errors import MalformedError, MediaTypeError
from essaim_api.links import next_page
from essaim_api.media_types import HEAD_BYTES, media_type
from essaim_api.views import TextPage

FIRST, OTHER = r"[^./\\*?\x00-\x1f\x7f-\x9f]", r"[^/\\*?\x00-\x1f\x7f-\x9f]{0,254}"
NAME = rf"^(?!.*(^|[^#])#[0-9]+$)(?!.*[A-Za-z][:|]$){FIRST}{OTHER}(/{FIRST}{OTHER})*$"
TextName = Annotated[
    str,
    Path(
        description=(
            "a relative path of at most 512 bytes in UTF-8, 255 a part; parts are not empty and start with no dot; "
            "without control characters, `\\`, `*` and `?`; it may not end like `#1` or `C:`"
        ),
        json_schema_extra={"pattern": NAME, "maxLength": 512},  # for clients; the store has the last word
        examples=["books/moby-dick.txt"],
    ),
]
ANY_TYPE = {"text/plain": {"schema": {"type": "string"}}, "*/*": {"schema": {}}}
EXAMPLE = {
    "name": "books/moby-dick.txt",
    "size": 1276201,
    "etag": '"61a9-5f0c2b-1379e9"',
    "modified": "2026-03-01T12:00:00Z",
}
ANYTHING = {"text/plain": {"schema": {"type": "string"}}, "application/octet-stream": {"schema": {}}}


@endpoint(
    201,
    answers={200: {"description": "Replaced", "model": Text}},
    headers={"Location": "the text", "ETag": "its version"},
    body=ANYTHING,
    example=EXAMPLE,
    errors=[TextNameError, TextTooLargeError, TextExistsError, TextChangedError, MediaTypeError],
)
async def put(name: TextName, request: Request, response: Response, context: Context) -> Text:
    """Store the body as a text, atomically. With `If-None-Match: *`, never replace one."""
    if "content-range" in request.headers:
        raise MalformedError("texts are stored whole; send no Content-Range")
    try:
        before = await context.backends.texts.stat(name)
    except TextNotFoundError:
        before = None
    check_before_write(request.headers, before)
    limit, idle = context.settings.max_text_bytes, context.settings.idle_seconds
    chunks = received(request, limit=limit, idle=idle, refuse=TextTooLargeError)
    only_new = request.headers.get("if-none-match", "").strip() == "*"
    text = await context.backends.texts.put(name, chunks, limit=limit, overwrite=not only_new)
    response.status_code = 201 if before is None else 200
    response.headers.update({"Location": f"/v1/texts/{quote(name)}", "ETag": entity_tag(text)})
    return text


@endpoint(
    answers={
        200: {"description": "The text", "content": ANY_TYPE},
        206: {"description": "The requested bytes", "content": ANY_TYPE},
        304: {"description": "The client has this version"},
    },
    headers={"ETag": "its version", "Accept-Ranges": "bytes"},
    errors=[TextNameError, TextNotFoundError, TextChangedError, RangeInvalidError],
    response_class=Response,
)
async def get(name: TextName, request: Request, context: Context) -> Response:
    """The text, or the byte range in `Range`. `If-None-Match`, `If-Match` and `If-Range` compare with `ETag`.

    Its type follows from its name and content; types that a browser would execute are sent as `text/plain`.
    """
    text = await context.backends.texts.stat(name)
    headers = _headers(text)
    check_before_read(request.headers, text)
    if not_modified(request.headers, text):
        return Response(status_code=304, headers=headers)
    found = byte_range(request.headers, text)
    start, end = found or (0, text.size)
    headers["Content-Length"] = str(end - start)
    headers["Content-Type"] = await _type(context, text)
    if found:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{text.size}"
    source = context.backends.texts.open(name, start, end, etag=text.etag)
    return Streamed(source, status_code=206 if found else 200, headers=headers)


@endpoint(
    answers={200: {"description": "The text exists"}, 304: {"description": "The client has this version"}},
    headers={"ETag": "its version", "Accept-Ranges": "bytes"},
    errors=[TextNameError, TextNotFoundError, TextChangedError],
    response_class=Response,
)
async def head(name: TextName, request: Request, context: Context) -> Response:
    """Size and version of the text."""
    text = await context.backends.texts.stat(name)
    headers = _headers(text)
    check_before_read(request.headers, text)
    if not_modified(request.headers, text):
        return Response(status_code=304, headers=headers)
    return Response(headers={**headers, "Content-Length": str(text.size), "Content-Type": await _type(context, text)})


@endpoint(204, errors=[TextNameError, TextNotFoundError, TextExistsError, TextChangedError])
async def delete(name: TextName, request: Request, context: Context) -> None:
    """Delete the text; with `If-Match` or `If-Unmodified-Since`, only that version."""
    check_before_write(request.headers, await context.backends.texts.stat(name))
    await context.backends.texts.delete(name)


@endpoint(
    headers={"Link": "the next page, as `rel=next`"},
    example={"texts": [EXAMPLE], "cursor": "books/moby-dick.txt"},
    errors=[RequestInvalidError],
)
async def index(
    request: Request,
    response: Response,
    context: Context,
    pattern: Annotated[
        str, Query(max_length=512, pattern=r"^[^\x00]+$", description="a glob: `*` and `?` cross no `/`, `**` does")
    ] = "**",
    cursor: Annotated[str, Query(max_length=512, pattern=r"^[^\x00]*$", description="from the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> TextPage:
    """Texts by name."""
    found = await context.backends.texts.list(pattern, after=cursor, limit=limit + 1)
    page = list(found[:limit])
    following = page[-1].name if len(found) > limit else None
    next_page(request, response, cursor=following)
    return TextPage(texts=page, cursor=following)


async def _type(context: AppContext, text: Text) -> str:
    head = await context.backends.texts.read(text.name, 0, HEAD_BYTES, etag=text.etag) if text.size else b""
    return media_type(text.name, head)


def _headers(text: Text) -> dict[str, str]:
    """The headers of a text. Its content is untrusted, so browsers must not guess its type."""
    return {
        "ETag": entity_tag(text),
        "Last-Modified": text.modified.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }
