"""Everything that can go wrong, as one tree. None of it knows HTTP: `api/essaim_api/problems.py` maps each leaf to a status.

EssaimError
├── JobError                  the workload says: this request cannot succeed, do not try again
├── RequestInvalidError       a submission that does not fit the request model
├── RequestTooLargeError      a submission over `ESSAIM_MAX_REQUEST_BYTES`
├── InputsChangedError        a text is no longer what the job was split for; a retry splits it anew
├── TooManyTasksError         a split over `ESSAIM_MAX_TASKS_PER_JOB`
├── ResultTooLargeError       a result over `ESSAIM_MAX_RESULT_BYTES`
├── JobNotFoundError
├── ResultNotFoundError       the job has no result (yet)
├── DeadLetterNotFoundError   no parked message has this id
├── JobNotRetryableError      it has not failed, and is not open in the release it shall be taken from
├── IdempotencyConflictError  the same key came with another request
├── CallbackRefusedError      a callback that may not be called
├── CursorInvalidError        a page cursor that this service did not make
├── MessageUnreadableError    a message that is no event of ours
├── LeaseLostError            a newer attempt holds the task; this one may write nothing
├── QueueFullError            the queue is at its bound; try again later
├── UnavailableError          a backend cannot be reached now; try again later
├── SettingsError             the settings are wrong or unsafe; the process does not start
└── TextError
    ├── TextNameError
    ├── TextNotFoundError
    ├── TextTooLargeError
    ├── TextExistsError       `If-None-Match: *` and the text is there
    ├── TextChangedError      not the version that was asked for
    └── RangeInvalidError     a byte range outside the text
"""


class EssaimError(Exception):
    """The root. `str(error)` is one sentence that a user can act on."""


class JobError(EssaimError):
    """Raised by a workload: the job fails at once, with this sentence as its problem."""


class InputsChangedError(JobError):
    """A text that a task reads is gone, or no longer the version that the job was split for."""


class RequestInvalidError(EssaimError):
    """The submission does not fit the request model; `errors` names each field, as pydantic reports it."""

    def __init__(self, message: str, errors: list[dict[str, object]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class RequestTooLargeError(EssaimError):
    """The submission has more bytes than allowed."""


class TooManyTasksError(JobError):
    """The request splits into more tasks than allowed."""


class ResultTooLargeError(JobError):
    """The result has more bytes than allowed."""


class JobNotFoundError(EssaimError):
    """No job has this id."""


class ResultNotFoundError(EssaimError):
    """The job has no result: it has not succeeded (yet)."""


class DeadLetterNotFoundError(EssaimError):
    """No dead letter has this id."""


class JobNotRetryableError(EssaimError):
    """The job has not failed, and is not open in the release that it shall be taken from."""


class IdempotencyConflictError(EssaimError):
    """The idempotency key was used before, with another request."""


class CallbackRefusedError(EssaimError):
    """The callback is no URL that may be called."""


class CursorInvalidError(EssaimError):
    """The page cursor is not one that this service made."""


class MessageUnreadableError(EssaimError):
    """The message is no event that this version understands."""


class LeaseLostError(EssaimError):
    """Another attempt of the task has taken over: this one is fenced off and changed nothing."""


class QueueFullError(EssaimError):
    """The queue holds as many messages as it may."""


class UnavailableError(EssaimError):
    """A backend does not answer now. `lasting`: waiting does not help."""

    def __init__(self, sentence: str, *, lasting: bool = False) -> None:
        super().__init__(sentence)
        self.lasting = lasting


class SettingsError(EssaimError):
    """The settings are wrong or unsafe."""


class TextError(EssaimError):
    """Something about a text."""


class TextNameError(TextError):
    """The name is empty, too long, or could leave the store."""


class TextNotFoundError(TextError):
    """No text has this name."""


class TextTooLargeError(TextError):
    """The text has more bytes than allowed; nothing was stored."""


class TextExistsError(TextError):
    """The text is there already; nothing was stored."""


class TextChangedError(TextError):
    """The text is not the version that was asked for."""


class RangeInvalidError(TextError):
    """The byte range lies outside the text."""
