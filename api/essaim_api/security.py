"""Authentication: bearer tokens, each with an owner. If no tokens are set, every caller is `anonymous`."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from essaim_api.context import context_of
from essaim_api.errors import AnonymousError

ANONYMOUS = "anonymous"


def digests(owners: Mapping[str, str]) -> dict[bytes, str]:
    """Owner by digest of a token. Digests all have one length, so comparing them does not reveal a token's."""
    return {sha256(token.encode()).digest(): owner for token, owner in owners.items()}


class TokenOwner(HTTPBearer):
    """The owner of a request's token. A single dependency, since FastAPI spends time on each."""

    async def __call__(self, request: Request) -> str:  # type: ignore[override]  # FastAPI lets a scheme answer anything
        tokens = context_of(request).tokens
        if not tokens:
            return ANONYMOUS
        credentials = await super().__call__(request)
        if credentials is None:
            raise AnonymousError("send the header `Authorization: Bearer <token>`")
        given = sha256(credentials.credentials.encode("utf-8", "surrogateescape")).digest()
        # compare every token, even after a match, so that the time taken reveals nothing
        owners = [name for digest, name in tokens.items() if hmac.compare_digest(digest, given)]
        if not owners:
            raise AnonymousError("unknown token")
        return owners[0]


OWNER = TokenOwner(
    scheme_name="HTTPBearer",
    auto_error=False,
    description="A token of `ESSAIM_API_TOKENS`; needed only if any are set.",
)
Owner = Annotated[str, Depends(OWNER)]
