"""Standard output and standard error, which may be closed, or a pipe whose reader is gone."""

import errno
import io
import os
import signal
import sys
from typing import Any


class _Output(io.FileIO):
    """Discards everything after the first error; otherwise Python would report the rest of its buffer at exit."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if error.errno == errno.EPIPE:
                raise SystemExit(128 + signal.SIGPIPE) from None
            raise OSError(error.errno, error.strerror, "standard output") from None


def prepare() -> None:
    """A broken pipe ends the command with the exit code of SIGPIPE in a shell; output to a closed descriptor is discarded.

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
