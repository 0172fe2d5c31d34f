"""The messages on the queue, as CloudEvents. Ids are deterministic, so the same message published twice is one fact.

Data carries a `version`: readers ignore fields they do not know and refuse a higher version. Where there are traces, the
extension `traceparent` is the span in which the job was submitted, and `parentspan` the one that has published the message.
"""

from dataclasses import dataclass
from datetime import datetime

from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from essaim.errors import MessageUnreadableError
from essaim.jobs.model import Job, JsonObject, State
from essaim.telemetry import traceparent

VERSION = 1
JOB_SUBMITTED = "essaim.job.submitted"
JOB_RETRIED = "essaim.job.retried"
TASK_READY = "essaim.task.ready"
JOB_ENDED = "essaim.job.ended"


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A client has submitted this job; it carries all of it, since the store may not have it yet."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobRetried:
    """Run a job again, as its run number `run`, in the release whose message this is: if it has failed, or is still open in
    the release `taken_from`. `anew`: split it again too."""

    job_id: str
    run: int
    taken_from: str | None = None
    anew: bool = False


@dataclass(frozen=True, slots=True)
class TaskReady:
    """A task of a planned job can be run."""

    job_id: str
    number: int


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job with a callback is about to end, in this run or a later one: call when it has. `since`: from when on to try."""

    job_id: str
    run: int
    since: datetime


Message = JobSubmitted | JobRetried | TaskReady | JobEnded


def to_event(message: Message, release: str, submission: str | None = None) -> CloudEvent:
    """The CloudEvent that says it, from this release. `submission` is the `traceparent` of the job that it is about."""
    match message:
        case JobSubmitted(job):
            data: JsonObject = {
                "job_id": job.id,
                "owner": job.owner,
                "release": job.release,
                "request": job.request,
                "fingerprint": job.fingerprint,
                "created": job.created.isoformat(),
                **({} if job.callback is None else {"callback": job.callback}),
            }
            return _event(JOB_SUBMITTED, job.id, job.id, data, release, job.traceparent)
        case JobRetried(job_id, run, taken_from, anew):
            data = {"job_id": job_id, "run": run, **({} if taken_from is None else {"taken_from": taken_from})}
            data |= {"anew": True} if anew else {}
            return _event(JOB_RETRIED, f"{job_id}/run/{run}", job_id, data, release, submission)
        case TaskReady(job_id, number):
            data = {"job_id": job_id, "number": number}
            return _event(TASK_READY, f"{job_id}/task/{number}", job_id, data, release, submission)
        case JobEnded(job_id, run, since):
            data = {"job_id": job_id, "run": run, "since": since.isoformat()}
            return _event(JOB_ENDED, f"{job_id}/run/{run}/ended", job_id, data, release, submission)


def state_event(job: Job) -> CloudEvent:
    """What others are told of a job: where it stands, and not what it is about. Of a job that has ended always the same."""
    data = {
        "id": job.id,
        "state": job.state.value,
        "run": job.run,
        "release": job.release,
        "created": job.created.isoformat(),
        "ended": job.ended.isoformat() if job.ended else None,
        "problem": {"type": job.problem.type, "detail": job.problem.detail} if job.problem else None,
        "result": f"/v1/jobs/{job.id}/result" if job.state is State.SUCCEEDED else None,
    }
    kind, event_id = f"essaim.job.{job.state}", f"{job.id}/run/{job.run}/{job.state}"
    return _event(kind, event_id, job.id, data, job.release, job.traceparent, job.ended or job.queued)


def from_event(event: CloudEvent) -> Message:
    """What the event says. Raises `MessageUnreadableError`."""
    data = event.get_data()
    kind = event.get_type()
    if not isinstance(data, dict):
        raise MessageUnreadableError(f"the data of this {kind} event is no JSON object")
    try:
        if data["version"] > VERSION:
            raise MessageUnreadableError(f"{kind} version {data['version']} is newer than this software")
        job_id = str(data["job_id"])
        match kind:
            case "essaim.job.submitted":
                return JobSubmitted(
                    Job(
                        id=job_id,
                        owner=str(data["owner"]),
                        release=str(data["release"]),
                        request=dict(data["request"]),
                        fingerprint=str(data["fingerprint"]),
                        created=datetime.fromisoformat(data["created"]),
                        callback=_text(data.get("callback")),
                        traceparent=_extension(event, "traceparent"),
                    )
                )
            case "essaim.job.retried":
                return JobRetried(job_id, int(data["run"]), _text(data.get("taken_from")), bool(data.get("anew")))
            case "essaim.task.ready":
                return TaskReady(job_id, int(data["number"]))
            case "essaim.job.ended":
                return JobEnded(job_id, int(data["run"]), datetime.fromisoformat(data["since"]))
    except (KeyError, TypeError, ValueError) as error:
        raise MessageUnreadableError(f"the data of this {kind} event does not fit: {error!r}") from error
    raise MessageUnreadableError(f"unknown event type {kind!r}")


def parent_span(event: CloudEvent) -> str | None:
    """The `traceparent` of what has published the event."""
    return _extension(event, "parentspan") or _extension(event, "traceparent")


def dump(event: CloudEvent) -> bytes:
    """The event as `application/cloudevents+json`."""
    return JSONFormat().write(event)


def load(body: bytes) -> CloudEvent:
    """The event in an `application/cloudevents+json` body. Raises `MessageUnreadableError`."""
    try:
        event = JSONFormat().read(CloudEvent, body)
    except (CloudEventValidationError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MessageUnreadableError(f"no CloudEvent: {error}") from error
    assert isinstance(event, CloudEvent)  # noqa: S101  # the SDK's return type is wider than what its factory makes
    return event


def _extension(event: CloudEvent, name: str) -> str | None:
    return _text(event.get_extension(name))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _event(
    kind: str,
    event_id: str,
    subject: str,
    data: JsonObject,
    release: str,
    submission: str | None = None,
    time: datetime | None = None,
) -> CloudEvent:
    attributes = {
        **({} if time is None else {"time": time}),
        "id": event_id,
        "type": kind,
        "source": f"/essaim/{release}",
        "subject": subject,
        "datacontenttype": "application/json",
    }
    traces = {"traceparent": submission, "parentspan": traceparent()}
    attributes.update({name: value for name, value in traces.items() if value is not None})
    return CloudEvent(attributes, {"version": VERSION, **data})
