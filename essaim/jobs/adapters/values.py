"""Values as the job stores keep them: times, problems and other JSON as text, and the cursors of their pages."""

import base64
import binascii
import json
from datetime import UTC, datetime

from essaim.errors import CursorInvalidError
from essaim.jobs.model import Problem


def stamp(moment: datetime | None = None) -> str:
    """A time (None: now) as text that sorts, to the microsecond."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def moment_from(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def storable(text: str) -> str:
    """No store takes half of a surrogate pair, as file names and error messages may contain: it is escaped."""
    return text.encode(errors="backslashreplace").decode()


def to_json(value: object) -> str:
    """JSON that a person can read; what `storable` escapes is an escape in JSON too."""
    return storable(json.dumps(value, ensure_ascii=False))


def problem_to(problem: Problem | None) -> str | None:
    return to_json({"type": problem.type, "detail": problem.detail}) if problem else None


def problem_from(text: str | None) -> Problem | None:
    if text is None:
        return None
    fields = json.loads(text)
    return Problem(fields["type"], fields["detail"])


def cursor_at(created: str, job_id: str) -> str:
    """The cursor to go on after this job."""
    return base64.urlsafe_b64encode(json.dumps([created, job_id]).encode()).decode().rstrip("=")


def parse_cursor(cursor: str) -> tuple[str, str]:
    """Raises `CursorInvalidError`."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created, job_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        datetime.fromisoformat(created)
        return created, str(job_id)
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise CursorInvalidError(f"{cursor!r} is no cursor of this service") from error
