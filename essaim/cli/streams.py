"""Standard output and standard error of the command, whose readers may leave or never have been there."""

import errno
import io
import os
import signal
import sys
from typing import Any


class _Output(io.FileIO):
    """After an error nothing more is tried, or Python would report what is left in the buffer at its exit."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if error.errno == errno.EPIPE:
                raise SystemExit(128 + signal.SIGPIPE) from None
            raise OSError(error.errno, error.strerror, "standard output") from None


def prepare() -> None:
    """A closed pipe ends the command with the exit code that a shell gives to SIGPIPE; a closed descriptor takes all.

    Any name can be printed, whatever the encoding of the terminal.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "wb"), "utf-8", "backslashreplace"))
            continue
        raw = _Output(stream.fileno(), "wb", closefd=False)
        buffer = raw if stream.write_through else io.BufferedWriter(raw)
        by_line = name == "stderr" or stream.line_buffering
        text = io.TextIOWrapper(
            buffer, stream.encoding, "backslashreplace", line_buffering=by_line, write_through=stream.write_through
        )
        setattr(sys, name, text)
