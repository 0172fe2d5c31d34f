"""The errors of the job service, as one tree. None of it knows HTTP: `api/essaim_api/problems.py` maps each leaf to a status.
The other rooms have errors of their own, in modules that draw them the same way.

EssaimError
├── RequestError                  the request is refused as it stands
│   ├── RequestInvalidError       the submission does not fit the request model
│   ├── RequestTooLargeError      the submission is over `ESSAIM_MAX_REQUEST_BYTES`
│   ├── CallbackRefusedError      the callback URL is not allowed
│   ├── IdempotencyConflictError  the key was used before, with another request
│   └── CursorInvalidError        this service did not make the page cursor
├── JobError                      the job fails at once and is not retried; workloads raise it
│   ├── InputsChangedError        a text is no longer what the job was split for; a retry splits it anew
│   ├── TooManyTasksError         the split is over `ESSAIM_MAX_TASKS_PER_JOB`
│   └── ResultTooLargeError       the result is over `ESSAIM_MAX_RESULT_BYTES`
├── JobNotFoundError
├── JobNotRetryableError          the job has not failed, and is not open in the release to take it over from
├── ResultNotFoundError           the job has not succeeded (yet)
├── DeadLetterNotFoundError
├── MessageUnreadableError        a message is no event of ours
├── LeaseLostError                a newer attempt holds the task; this one may write nothing
├── TextError
│   ├── TextNameError
│   ├── TextNotFoundError
│   ├── TextTooLargeError         the text is over `ESSAIM_MAX_TEXT_BYTES`
│   ├── TextExistsError           `If-None-Match: *`, and the text exists
│   ├── TextChangedError          the text is not the requested version
│   └── RangeInvalidError         the byte range lies outside the text
├── BackendError                  the request is fine, but the queue or a store cannot take it now; try again later
│   ├── UnavailableError          a backend cannot be reached
│   └── QueueFullError            the queue holds `ESSAIM_MAX_QUEUE_LENGTH` messages
└── SettingsError                 the settings are wrong or unsafe; the process does not start
"""


class EssaimError(Exception):
    """The root. `str(error)` is one sentence that a user can act on."""


class RequestError(EssaimError):
    """The request is refused as it stands."""


class RequestInvalidError(RequestError):
    """The submission does not fit the request model; `errors` names each field, as pydantic reports it."""

    def __init__(self, message: str, errors: list[dict[str, object]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class RequestTooLargeError(RequestError):
    """The submission has more bytes than allowed."""


class CallbackRefusedError(RequestError):
    """The callback is not a URL that may be called."""


class IdempotencyConflictError(RequestError):
    """The idempotency key was used before, with another request."""


class CursorInvalidError(RequestError):
    """The page cursor is not one that this service made."""


class JobError(EssaimError):
    """Raised by a workload: the job fails at once, with this sentence as its problem."""


class InputsChangedError(JobError):
    """A text that a task reads is gone, or no longer the version that the job was split for."""


class TooManyTasksError(JobError):
    """The request splits into more tasks than allowed."""


class ResultTooLargeError(JobError):
    """The result has more bytes than allowed."""


class JobNotFoundError(EssaimError):
    """No job has this id."""


class JobNotRetryableError(EssaimError):
    """The job has not failed, and is not open in the release to take it over from."""


class ResultNotFoundError(EssaimError):
    """The job has no result: it has not succeeded (yet)."""


class DeadLetterNotFoundError(EssaimError):
    """No dead letter has this id."""


class MessageUnreadableError(EssaimError):
    """The message is not an event that this version understands."""


class LeaseLostError(EssaimError):
    """Another attempt of the task has taken over: this one is fenced off and changed nothing."""


class TextError(EssaimError):
    """Something is wrong with a text."""


class TextNameError(TextError):
    """The name is empty, too long, or could leave the store."""


class TextNotFoundError(TextError):
    """No text has this name."""


class TextTooLargeError(TextError):
    """The text has more bytes than allowed; nothing was stored."""


class TextExistsError(TextError):
    """The text exists already; nothing was stored."""


class TextChangedError(TextError):
    """The text is not the requested version."""


class RangeInvalidError(TextError):
    """The byte range lies outside the text."""


class BackendError(EssaimError):
    """A backend cannot do it now; try again later."""


class UnavailableError(BackendError):
    """A backend does not answer now. `lasting`: waiting does not help."""

    def __init__(self, sentence: str, *, lasting: bool = False) -> None:
        super().__init__(sentence)
        self.lasting = lasting


class QueueFullError(BackendError):
    """The queue holds as many messages as it may."""


class SettingsError(EssaimError):
    """The settings are wrong or unsafe."""
