"""Opens the text store that a URL names: a local folder, or a bucket in S3."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from essaim.errors import SettingsError
from essaim.jobs.adapters.texts.errors import translated
from essaim.jobs.adapters.texts.folder import open_folder
from essaim.jobs.adapters.texts.store import ObjectTexts

CONNECT, ANSWER, RETRY = timedelta(seconds=3), timedelta(seconds=60), timedelta(seconds=30)
# S3 answers that no retry can help; XML within the driver's message.
REFUSAL = re.compile(
    r"<Code>(NoSuchBucket|AccessDenied|InvalidAccessKeyId|InvalidBucketName|SignatureDoesNotMatch)</Code>"
)


@asynccontextmanager
async def open_texts(url: str, folder: str) -> AsyncIterator[ObjectTexts]:
    """The texts at `<url>/<folder>`; a local folder is created if it is missing. Raises `SettingsError`, `UnavailableError`.

    S3 takes its keys, region and endpoint from the usual `AWS_…` variables.
    """
    if urlsplit(url).scheme == "s3":
        yield await _open_bucket(f"{url.rstrip('/')}/{folder}")
        return
    opening = open_folder(_path(url) / folder)
    with translated(folder):
        opened = await asyncio.to_thread(opening.__enter__)
        store = LocalStore(opened.root, automatic_cleanup=True)
    try:
        yield ObjectTexts(store, opened)
    finally:
        await asyncio.to_thread(opening.__exit__, None, None, None)


async def _open_bucket(url: str) -> ObjectTexts:
    if not urlsplit(url).hostname:
        raise SettingsError(f"{url!r} names no bucket: use s3://bucket/folder")
    with translated(url):
        store = S3Store.from_url(
            url,
            copy_if_not_exists="multipart",  # only the last step of a multipart copy can refuse to copy over an object
            # plain HTTP only if the endpoint says so
            client_options={"connect_timeout": CONNECT, "timeout": ANSWER, "allow_http": True},
            retry_config={"max_retries": 5, "retry_timeout": RETRY},
        )
        try:
            # A wrong key or bucket shows now, not at the first upload.
            async for _ in obstore.list(store, chunk_size=1):
                break
        except BaseError as error:
            if refusal := REFUSAL.search(str(error)):
                says = f"S3 refuses it as {refusal[1]}; is it the right bucket, and AWS_ACCESS_KEY_ID and its secret?"
                raise SettingsError(f"ESSAIM_TEXTS_URL {url!r}: {says}") from error
            raise
    return ObjectTexts(store)


def _path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise SettingsError(
            f"{url!r} is no place for texts: use file:///absolute/path, with ? and # written as %3F and %23"
        )
    return Path(unquote(parts.path))
