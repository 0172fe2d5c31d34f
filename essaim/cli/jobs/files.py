"""The files that a command line names: files, folders (walked), and `-` for standard input."""

import codecs
import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from essaim.cli.errors import CliError
from essaim.cli.output import shown

STDIN = "-"
HEAD_BYTES = 8192
MARKS = (  # UTF-32's first: it begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class File:
    """`name` is how the user sees it; `folder` is the one named by the user that it was found in.

    `size` is in bytes as the system tells it, which is wrong for files under `/proc`; None for what is no plain file.
    """

    name: str
    size: int | None
    folder: str | None = None


def find(given: Iterable[str]) -> tuple[list[File], int]:
    """Every file that these names stand for, once, in order; and how many binary files were skipped.

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
                    found.setdefault(path, File(path, _size(path), name))
        else:
            found.setdefault(name, File(name, _size(name)))
    return list(found.values()), binary


def standard_input() -> TextIO:
    """Raises `CliError` if it is closed."""
    if sys.stdin is None:
        raise CliError("-: standard input is closed")
    return sys.stdin


def _walk(folder: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise CliError(f"{shown(error.filename)}: {error.strerror}") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(parent, name)
            if not name.startswith(".") and os.path.isfile(path):
                yield path


def _is_binary(path: str) -> bool:
    """As grep and git decide: a NUL near the beginning, after decoding as the byte order mark says."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise CliError(f"{shown(path)}: {error.strerror}") from error
    encoding = next((encoding for mark, encoding in MARKS if head.startswith(mark)), "latin-1")
    return "\0" in head.decode(encoding, "replace")


def _size(name: str) -> int | None:
    if name == STDIN:
        standard_input()
        return None
    try:
        status = os.stat(name)
    except OSError as error:
        raise CliError(f"{shown(name)}: {error.strerror}") from error
    except ValueError as error:
        raise CliError(f"{shown(name)}: not a file name") from error
    if stat.S_ISSOCK(status.st_mode):
        raise CliError(f"{shown(name)}: a socket cannot be read like a file")
    if not os.access(name, os.R_OK):
        raise CliError(f"{shown(name)}: {os.strerror(errno.EACCES)}")
    return status.st_size if stat.S_ISREG(status.st_mode) else None
