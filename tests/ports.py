"""Where a server of a test may listen."""

import socket


def free_port() -> int:
    """Of the loopback address; free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
