"""What can go wrong in HTTP itself; everything else is in `essaim.errors`. `problems` maps each to an HTTP status.

EssaimError
├── RequestError
│   ├── MalformedError             the request cannot be read
│   ├── StalledError               the client stopped sending in the middle of the request
│   ├── MediaTypeError             the body has a type or an encoding that this route does not take
│   ├── HeadTooLargeError          the header fields are too large
│   ├── TransferCodingError        the body has a transfer coding other than `chunked`
│   ├── AnonymousError             the token is missing or unknown
│   ├── RouteNotFoundError
│   ├── FileChangedError           a file of the live page has another version
│   ├── MethodError                the path does not take this method
│   └── RequestInvalidError
│       └── ParameterInvalidError  a parameter or a header field does not fit
├── BusyError                      too many requests are open; try again later
├── FailedError                    a bug of ours; the log says more
└── TextError
    └── RangeInvalidError
        └── RangeUnsatisfiableError
"""

from collections.abc import Sequence

from essaim.errors import EssaimError, RangeInvalidError, RequestError, RequestInvalidError


class MalformedError(RequestError):
    """The request cannot be read: it is not JSON, not UTF-8, or has a header field that makes no sense."""


class StalledError(RequestError):
    """The client stopped sending in the middle of the request."""


class MediaTypeError(RequestError):
    """The body has a type or an encoding that this route does not take."""


class HeadTooLargeError(RequestError):
    """The header fields have more bytes than allowed."""


class TransferCodingError(RequestError):
    """The body has a transfer coding other than `chunked`."""


class AnonymousError(RequestError):
    """The token is missing or unknown."""


class RouteNotFoundError(RequestError):
    """Nothing has this path."""


class FileChangedError(RequestError):
    """A file of the live page has another version."""


class MethodError(RequestError):
    """The path does not take this method."""

    def __init__(self, message: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.headers = {"Allow": ", ".join(allowed)}


class BusyError(EssaimError):
    """Too many requests are open; try again later."""


class FailedError(EssaimError):
    """An error in this software: its log says more."""


class ParameterInvalidError(RequestInvalidError):
    """A parameter or a header field does not fit; `errors` names each."""


class RangeUnsatisfiableError(RangeInvalidError):
    """The byte range lies outside a text of this many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the text has {size} bytes")
        self.headers = {"Content-Range": f"bytes */{size}"}
