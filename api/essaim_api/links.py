"""Paging: a `Link` header beside the cursor in the body (RFC 8288)."""

from urllib.parse import urlencode

from fastapi import Request, Response


def next_page(request: Request, response: Response, **following: object) -> None:
    """Add the link to the page that these parameters ask for, all others as they are; none where one is None."""
    if None in following.values():
        return
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in following]
    query = urlencode([*kept, *following.items()])
    path = request.scope["raw_path"].decode("latin-1")
    response.headers["Link"] = f'<{path}?{query}>; rel="next"'
