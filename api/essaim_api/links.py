"""Paging: a `Link` header (RFC 8288) in addition to the cursor in the body."""

from urllib.parse import urlencode

from fastapi import Request, Response


def next_page(request: Request, response: Response, **following: object) -> None:
    """Add a link with these parameters changed and all others kept; no link if one of them is None."""
    if None in following.values():
        return
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in following]
    query = urlencode([*kept, *following.items()])
    path = request.scope["raw_path"].decode("latin-1")
    response.headers["Link"] = f'<{path}?{query}>; rel="next"'
