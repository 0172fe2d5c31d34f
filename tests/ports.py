"""Where a server of a test may listen."""

import os
import re
import socket
from itertools import cycle

# Below what the kernel gives to clients (from 32768 on), and a range of its own for each process of the test runner:
# between the look and the server's start nobody else takes it.
FIRST, SIZE, WORKERS = 12_000, 5_000, 4


def free_port() -> int:
    """Of the loopback address; free now, and not given out again soon."""
    for port in _ports:
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("an endless range has ended")


def _range() -> range:
    number = int((re.findall(r"\d+", os.environ.get("PYTEST_XDIST_WORKER", "")) or ["0"])[0])
    first = FIRST + number % WORKERS * SIZE
    return range(first, first + SIZE)


_own = _range()
_begin = os.getpid() * 7 % SIZE  # the run before may have left connections that are still closing
_ports = cycle([*_own[_begin:], *_own[:_begin]])
