"""Opens the file that a URL names: it is created or checked, and its tables are brought to this version."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from essaim.errors import SettingsError, UnavailableError
from essaim.jobs.adapters.sqlite.schema import STEPS

SCHEME = "sqlite:///"
BUSY_SECONDS = 30.0  # how long a write waits for those of other processes; each holds the file for milliseconds
LOG_BYTES = 64 * 1024 * 1024  # what the log shrinks to after a transaction that was larger


def path_of(url: str) -> Path:
    """The path in `sqlite:///relative` or `sqlite:////absolute`. Raises `SettingsError`."""
    name = url.removeprefix(SCHEME)
    if name == url or not name or name.endswith("/") or name == ":memory:":
        raise SettingsError(f"{url!r} names no file: use sqlite:///relative/path.db or sqlite:////absolute/path.db")
    return Path(name)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file; it and its folders are created if missing. Any thread may use the connection, one at a time.

    Raises `SettingsError` for a file that can never be opened, `UnavailableError` for one that cannot be opened now.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    with _translating_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                return _connect(path)
            except sqlite3.OperationalError as error:
                # While other processes make the same fresh file, SQLite does not wait but says at once that it is busy.
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


@contextmanager
def _translating_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"the folder of the database {path} cannot be made: {error.strerror}") from error
    except sqlite3.DatabaseError as error:
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise UnavailableError(f"the database {path} cannot be opened now: {error}") from error
        raise SettingsError(f"the database {path} cannot be opened: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        with connection:  # one look, or a file that others are making meanwhile seems to have tables but no version
            steps = _steps_taken(connection, path)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA fullfsync = ON")  # macOS only: elsewhere a sync is always full
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise SettingsError(f"the file system of {path} cannot hold a database that several processes share")
        if steps < len(STEPS):
            _upgrade(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _steps_taken(connection: sqlite3.Connection, path: Path) -> int:
    steps: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if steps > len(STEPS):
        raise SettingsError(
            f"the database {path} was made by a newer Essaim (schema {steps}, this one knows {len(STEPS)}): "
            "use that release, or another file"
        )
    if not steps and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise SettingsError(f"the database {path} belongs to another program: use another file")
    return steps


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        for step in STEPS[_steps_taken(connection, path) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(STEPS)}")


def _code(error: sqlite3.DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
