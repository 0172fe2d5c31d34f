"""The files that a command line names: as they are, folders walked, `-` for standard input."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CliError

STDIN = "-"
HEAD_BYTES = 8192


@dataclass(frozen=True, slots=True)
class File:
    """`name` is how the user sees it; `size` is in bytes, None where nobody can know (a pipe)."""

    name: str
    size: int | None


def find(given: Iterable[str]) -> tuple[list[File], int]:
    """Every file that these names stand for, once, in order; and how many binary files were left out.

    A folder stands for the files in and under it: without hidden ones and binary ones, which nobody means.
    A file named by itself is always taken. Raises `CliError` for what cannot be read.
    """
    found: dict[str, File] = {}
    binary = 0
    for name in given:
        if name != STDIN and Path(name).is_dir():
            for path in _walk(name):
                if _is_binary(path):
                    binary += 1
                else:
                    found.setdefault(path, File(path, Path(path).stat().st_size))
        else:
            found.setdefault(name, File(name, _size(name)))
    return list(found.values()), binary


def _walk(folder: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise CliError(f"{error.filename}: {error.strerror}") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(parent, name)
            if not name.startswith(".") and os.path.isfile(path):
                yield path


def _is_binary(path: str) -> bool:
    """As grep and git judge: a NUL near the beginning."""
    try:
        with open(path, "rb") as file:
            return b"\0" in file.read(HEAD_BYTES)
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}") from error


def _size(name: str) -> int | None:
    if name == STDIN:
        return None
    try:
        status = os.stat(name)
    except OSError as error:
        raise CliError(f"{name}: {error.strerror}") from error
    except ValueError as error:
        raise CliError(f"{name!r} is no file name") from error
    if not os.access(name, os.R_OK):
        raise CliError(f"{name}: you may not read it")
    return status.st_size if stat.S_ISREG(status.st_mode) else None
