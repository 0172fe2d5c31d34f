"""Who calls: bearer tokens, each with its owner. Without any token set, everybody is `anonymous`."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.context import Here
from api.errors import AnonymousError

ANONYMOUS = "anonymous"
BEARER = HTTPBearer(auto_error=False, description="A token of `ESSAIM_API_TOKENS`. Not needed where none is set.")


def digests(owners: Mapping[str, str]) -> dict[bytes, str]:
    """Owner by digest of a token: digests have one length, so comparing them does not tell a token's."""
    return {sha256(token.encode()).digest(): owner for token, owner in owners.items()}


async def owner(here: Here, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> str:
    """The owner of the request's token. Raises `AnonymousError`."""
    if not here.tokens:
        return ANONYMOUS
    if credentials is None:
        raise AnonymousError("send the header `Authorization: Bearer <token>`")
    given = sha256(credentials.credentials.encode("utf-8", "surrogateescape")).digest()
    # every token is compared, whether or not one has matched: the time taken says nothing
    owners = [name for digest, name in here.tokens.items() if hmac.compare_digest(digest, given)]
    if not owners:
        raise AnonymousError("this token is not known here")
    return owners[0]


Owner = Annotated[str, Depends(owner)]
