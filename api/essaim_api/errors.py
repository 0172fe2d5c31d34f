"""What can go wrong in HTTP itself; everything else is in `essaim.errors`. `problems` maps each to an HTTP status."""

from collections.abc import Sequence

from essaim.errors import EssaimError, RangeInvalidError, RequestInvalidError


class MalformedError(EssaimError):
    """The request cannot be read: no JSON, no UTF-8, or a header field that makes no sense."""


class StalledError(EssaimError):
    """The request began and did not go on."""


class MediaTypeError(EssaimError):
    """The body is of a type or in an encoding that is not taken here."""


class HeadTooLargeError(EssaimError):
    """The header fields have more bytes than allowed."""


class TransferCodingError(EssaimError):
    """The body comes in a transfer coding other than `chunked`."""


class AnonymousError(EssaimError):
    """No token came along, or one that is not known."""


class RouteNotFoundError(EssaimError):
    """Nothing has this path."""


class MethodError(EssaimError):
    """What has this path does not take the method."""

    def __init__(self, message: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.headers = {"Allow": ", ".join(allowed)}


class BusyError(EssaimError):
    """As many requests are open as may be; try again later."""


class FailedError(EssaimError):
    """An error of this software: its log says more."""


class ParameterInvalidError(RequestInvalidError):
    """A parameter or a header field does not fit; `errors` names each."""


class RangeUnsatisfiableError(RangeInvalidError):
    """The byte range lies outside a text of this many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the text has {size} bytes")
        self.headers = {"Content-Range": f"bytes */{size}"}
