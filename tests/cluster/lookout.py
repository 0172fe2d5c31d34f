"""A thread that looks at the cluster again and again, beside the test that waits for what it sees."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx


class Lookout:
    """Looks every so many seconds. An answer that does not come, or is a server's error, is a gap; any other error ends it."""

    def __init__(self, look: Callable[[], None], every: float) -> None:
        self._look = look
        self._every = every
        self._over = threading.Event()
        self._error: Exception | None = None

    def check(self) -> None:
        """To be called by whoever waits for what is seen. Raises `AssertionError` once nobody looks any more."""
        if self._error is not None:
            raise AssertionError(f"nobody looks any more: {self._error!r}") from self._error

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look until the end of the block."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
        self.check()

    def _run(self) -> None:
        try:
            while not self._over.wait(self._every):
                try:
                    self._look()
                except httpx.TransportError:
                    pass
                except httpx.HTTPStatusError as error:
                    if not error.response.is_server_error and error.response.status_code != 429:
                        raise
        except Exception as error:
            self._error = error
