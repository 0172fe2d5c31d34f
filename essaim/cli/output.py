"""Output of commands: a JSON document for programs, or a table for people. Notes go to standard error."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Rich takes a tenth of a second to import: only where it draws
    from rich.console import Console

UNLIMITED = 100_000


def document(value: Any) -> None:
    """Print one JSON document. ASCII only, so that it survives any terminal, pipe and file name."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def note(sentence: str) -> None:
    """Print something other than the result, to standard error."""
    sys.stderr.write(printable(sentence) + "\n")


def console() -> "Console":
    """The console for tables. In a pipe or file nothing is truncated."""
    from rich.console import Console

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=UNLIMITED)


def table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = (), empty: str = ""
) -> None:
    """Print rows under headers; the columns named in `right` hold numbers. Without rows, only note what is `empty`."""
    if not rows and empty:
        return note(empty)
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        numeric = header in right
        drawn.add_column(header, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in row))
    console().print(drawn)


def printable(text: str) -> str:
    """The text without control characters: untrusted text must not control the terminal."""
    return "".join(c if c.isprintable() or c in "\n " else "·" for c in text)


def shown(name: str) -> str:
    """A file's name on one line, with control characters and invalid UTF-8 escaped, so that it cannot forge a line."""
    return "".join(c if c.isprintable() else _escaped(c) for c in name)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python names a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
