"""Why a command failed: the sentence for standard error, and the exit code.

EssaimError
└── CliError                     exit code 2: one sentence and what to do about it
    ├── UnreachableError         nothing answers at the server's address
    ├── RefusedError             the server answered with a problem
    │   └── AbsentError          … that it has no such thing (404)
    └── JobUnsuccessfulError     exit code 1: the job failed or was cancelled
"""

from essaim.errors import EssaimError


class CliError(EssaimError):
    """`str(error)` is what the user reads."""

    exit_code = 2


class UnreachableError(CliError):
    """No server answers there."""

    def __init__(
        self, server: str, reason: str, advice: str = "start it with `essaim up`, or name a server with --server"
    ) -> None:
        super().__init__(f"nothing answers at {server} ({reason}): {advice}")


class RefusedError(CliError):
    """The server refused the request. `status` is the HTTP status; the message lists the faulty fields, one a line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AbsentError(RefusedError):
    """The server has no such job, text or dead letter."""


class JobUnsuccessfulError(CliError):
    """The job ended without a result."""

    exit_code = 1
