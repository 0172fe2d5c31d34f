"""From the errors and metadata of obstore and the file system to those of this project."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from essaim.errors import TextChangedError, TextExistsError, TextNotFoundError, UnavailableError
from essaim.jobs.adapters.texts.names import quoted
from essaim.jobs.model import Text

if TYPE_CHECKING:
    from obstore import ObjectMeta


@contextmanager
def translated(name: str, *, missing: bool = False) -> Iterator[None]:
    """Raises our errors for foreign ones. With `missing`, a file that is not found is the text of this name."""
    try:
        yield
    except PreconditionError as error:
        raise TextChangedError(f"{quoted(name)} is no longer the version that was asked for") from error
    except AlreadyExistsError as error:
        raise TextExistsError(f"there is a text {quoted(name)} already") from error
    except (BaseError, OSError, NotImplementedError) as error:
        if missing and isinstance(error, FileNotFoundError):
            raise TextNotFoundError(f"there is no text {quoted(name)}") from error
        raise UnavailableError(f"the text store cannot be used now: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The message without the paths and addresses before it, which are not for clients."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line.rpartition(": ")[2].partition(" (os error")[0]


def text_of(name: str, meta: "ObjectMeta") -> Text:
    return Text(name, meta["size"], meta["e_tag"] or "", meta["last_modified"])
