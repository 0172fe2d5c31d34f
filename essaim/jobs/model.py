"""What a job is: the words of this project as types. No behaviour, no storage, no HTTP."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

JsonObject = dict[str, Any]


class State(StrEnum):
    """Where a job, or a task of it, stands. The last three are final, but for a retry of a failed job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a job or an attempt failed: `type` is a stable name for programs, `detail` a sentence for people."""

    type: str
    detail: str


@dataclass(frozen=True, slots=True)
class Job:
    """What a client submitted, and how far it is.

    `release` is the one that runs it. `run` is 1 and grows by one with each retry. `tasks` is None until it is split.
    `progress` is between 0 and 1, the mean over the tasks. `result` is JSON, None before success. `callback` is the URL
    to call when the job has ended. `traceparent` is the span in which it was submitted (W3C), where there are traces.
    `split_in` is the run in which it was split. `retried` is when its run began to wait, None in the first.
    """

    id: str
    owner: str
    release: str
    request: JsonObject
    fingerprint: str
    created: datetime
    state: State = State.QUEUED
    run: int = 1
    started: datetime | None = None
    ended: datetime | None = None
    tasks: int | None = None
    tasks_ended: int = 0
    progress: float = 0.0
    result: bytes | None = None
    problem: Problem | None = None
    callback: str | None = None
    traceparent: str | None = None
    split_in: int | None = None
    retried: datetime | None = None

    @property
    def queued(self) -> datetime:
        """Since when this run of it has been waited for."""
        return self.retried or self.created


@dataclass(frozen=True, slots=True)
class Task:
    """The piece of a job that one worker runs. `attempts` counts claims, but the one that split the job into several tasks;
    `failures` those that ended in an exception."""

    job_id: str
    number: int
    state: State
    attempts: int = 0
    failures: int = 0
    progress: float = 0.0
    worker: str | None = None
    lease_until: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    problem: Problem | None = None


MERGE = -1  # the number of a claim to merge a job's results


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to one attempt of a task, or to merge the results of all (`number` is `MERGE`).

    `attempt` is the fencing token: a higher one makes this void, and so does a higher `run` of the job.
    """

    job_id: str
    number: int
    attempt: int
    worker: str
    run: int = 1


@dataclass(frozen=True, slots=True)
class Claimed:
    """The task is yours. `input` is None while the job is not split; `checkpoint` is what an earlier attempt saved.

    `failures` counts attempts that raised, `lost` those whose lease ran out (their worker died or stalled).
    """

    claim: Claim
    input: bytes | None
    checkpoint: bytes | None
    failures: int
    lost: int


@dataclass(frozen=True, slots=True)
class Busy:
    """Another attempt holds the task; its lease runs out in `seconds` unless it is extended."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing to run."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of jobs, newest first. `cursor` asks for the next; None on the last."""

    jobs: list[Job]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that has reported lately, and the tasks it runs as `job id/number`."""

    id: str
    release: str
    started: datetime
    seen: datetime
    concurrency: int
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Depth:
    """Messages in a queue: `ready` can be delivered now, `in_flight` are delivered and not yet settled."""

    ready: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A parked message. `event` is the CloudEvent as JSON where it could be read, else None."""

    id: str
    reason: str
    parked: datetime
    event: JsonObject | None
    body: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True)
class Text:
    """A stored text. `etag` changes whenever the content does; `size` is in bytes."""

    name: str
    size: int
    etag: str
    modified: datetime
