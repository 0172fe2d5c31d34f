"""One database on MongoDB: how it is opened, with which guarantees, and what its errors mean."""

import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING, AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    InvalidName,
    InvalidOperation,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from essaim.errors import JobError, SettingsError, UnavailableError
from essaim.jobs.adapters.mongodb.documents import Document
from essaim.telemetry import log

DEFAULT_NAME = "essaim"
MAJORITY_MILLISECONDS = 10_000
TRIES = 100  # of a write that others were faster with; what they wrote can be read within milliseconds
PAUSE_SECONDS = 0.02
# Unless the URL says otherwise. Without a limit, a server that freezes would keep its callers for ever.
MILLISECONDS = {"serverSelectionTimeoutMS": 5000, "connectTimeoutMS": 5000, "socketTimeoutMS": 20_000}
REFUSED_CODES = frozenset({13, 18})  # not authorised, wrong password
DUPLICATE_CODE = 11000
TOO_LARGE_CODES = frozenset({10334, 17419, 17420})

# Every query of this adapter is by `_id` or served by one of these from its first key on.
JOB_INDEXES = {
    "newest": ("created", "_id"),
    "newest_of_state": ("state", "created", "_id"),
    "newest_of_release": ("release", "state", "created", "_id"),
    "ended": ("ended",),
}
TASK_INDEXES = {"progress_of_plan": ("plan", "state", "progress")}


@dataclass(frozen=True)
class Database:
    """The collections. Reads see what a majority has, so nothing that was read can be taken back by a failover."""

    jobs: AsyncCollection[Document]
    tasks: AsyncCollection[Document]
    workers: AsyncCollection[Document]
    hosts: str

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Raises `UnavailableError` for what the driver raises, in a sentence without secrets."""
        try:
            yield
        except (PyMongoError, DocumentTooLarge) as error:
            raise _meaning(error, self.hosts) from error


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Connect, and see to the indexes. Raises `SettingsError` for a wrong URL or password, `UnavailableError`."""
    client = _client(url)
    async with client:
        hosts = _hosts(url)
        try:
            name = client.get_default_database(DEFAULT_NAME).name
            database = client.get_database(
                name,
                read_concern=ReadConcern("majority"),
                write_concern=WriteConcern("majority", wtimeout=MAJORITY_MILLISECONDS),
                read_preference=ReadPreference.PRIMARY,
            )
            opened = Database(database.jobs, database.tasks, database.workers, hosts)
            await client.admin.command("ping")
            await _index(opened.jobs, JOB_INDEXES)
            await _index(opened.tasks, TASK_INDEXES)
        except OperationFailure as error:
            if error.code in REFUSED_CODES:
                raise SettingsError(f"ESSAIM_STORE_URL: MongoDB at {hosts} refuses its name and password") from error
            raise _meaning(error, hosts) from error
        except (ConfigurationError, InvalidName) as error:  # found out late: by DNS, or from the server
            raise SettingsError(f"ESSAIM_STORE_URL: MongoDB at {hosts} cannot be used so: {_brief(error)}") from error
        except PyMongoError as error:
            raise _meaning(error, hosts) from error
        yield opened


def _client(url: str) -> AsyncMongoClient[Document]:
    options = url.partition("?")[2].lower()
    limits: dict[str, Any] = {name: limit for name, limit in MILLISECONDS.items() if f"{name.lower()}=" not in options}
    try:
        return AsyncMongoClient(url, appname="essaim", **limits)
    except (InvalidURI, ConfigurationError, InvalidName, ValueError, TypeError) as error:
        # What the driver says may quote a part of the URL, and that may be of the password.
        because = "" if "@" in url else f": {error}"
        shape = "mongodb://name:password@host:port/database, with %-escapes in name and password"
        raise SettingsError(f"ESSAIM_STORE_URL is no MongoDB URL ({shape}){because}") from None


def _hosts(url: str) -> str:
    """A name or password has no `@` that is not escaped, or the driver would have refused the URL."""
    address = url.partition("://")[2].partition("?")[0]
    return address.rpartition("@")[2].partition("/")[0]


async def _index(collection: AsyncCollection[Document], indexes: Mapping[str, Sequence[str]]) -> None:
    """Whoever comes first makes what is missing; making one twice changes nothing. Slow without is better than no service."""
    try:
        present = await collection.index_information()
        for name, keys in indexes.items():
            if name not in present:
                await collection.create_index([(key, ASCENDING) for key in keys], name=name)
    except OperationFailure as error:
        if error.code in REFUSED_CODES:
            raise
        log("store.index_refused", level=logging.WARNING, collection=collection.name, reason=_brief(error))


def duplicates(error: BulkWriteError) -> set[int]:
    """Which of the documents were there before. Raises the error if anything else went wrong."""
    details = error.details or {}
    found = {one["index"] for one in details.get("writeErrors", ()) if one.get("code") == DUPLICATE_CODE}
    if len(found) < len(details.get("writeErrors", ())) or details.get("writeConcernErrors"):
        raise error
    return found


def _meaning(error: Exception, hosts: str) -> Exception:
    too_large = isinstance(error, OperationFailure) and error.code in TOO_LARGE_CODES
    if too_large or isinstance(error, DocumentTooLarge):
        return JobError("a document of this job would be over the 16 MB that MongoDB stores in one")
    if isinstance(error, InvalidOperation):
        return UnavailableError(f"the connection to MongoDB at {hosts} is closed")
    return UnavailableError(f"MongoDB at {hosts} does not answer: {_brief(error)}")


def _brief(error: Exception) -> str:
    """The driver appends its configuration and its view of all servers, and the server's whole answer."""
    return re.split(r" \(configured timeouts|, Timeout: |, full error: |, Topology", str(error))[0][:300]
