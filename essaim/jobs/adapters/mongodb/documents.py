"""Jobs and workers as documents. What a document holds beyond the known fields is none of this version's business,
and what is missing has its default."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from essaim.jobs.model import Job, Problem, State, Worker

Document = dict[str, Any]

VERSION = 1
OPEN = [State.QUEUED.value, State.RUNNING.value]


class Tally(NamedTuple):
    """How far the tasks of a job are: how many have ended, and the sum of their progress."""

    ended: int = 0
    progress: float = 0.0


def job_to(job: Job) -> Document:
    """Requests are JSON text: a BSON document has neither half surrogates nor large integers, which JSON has.

    What a job does not have yet is left out: every write of it costs the more, the more fields there are.
    """
    fields = {
        "_id": job.id,
        "v": VERSION,
        "owner": job.owner,
        "release": job.release,
        "request": _to_json(job.request),
        "fingerprint": job.fingerprint,
        "created": stamp(job.created),
        "state": job.state.value,
        "run": job.run,
        "started": stamp(job.started) if job.started else None,
        "ended": stamp(job.ended) if job.ended else None,
        "tasks": job.tasks,
        "progress": job.progress if job.state.ended else None,
        "problem": problem_to(job.problem),
        "result": None if job.result is None else readable(job.result),
        "callback": job.callback,
        "traceparent": job.traceparent,
    }
    return {name: value for name, value in fields.items() if value is not None}


def job_from(found: Document, tally: Tally) -> Job:
    """The tally counts while the job is open; one that has ended keeps its own progress."""
    state = State(found["state"])
    tasks = found.get("tasks")
    progress = found.get("progress") or 0.0 if state.ended else tally.progress / (tasks or 1)
    return Job(
        id=found["_id"],
        owner=found["owner"],
        release=found["release"],
        request=json.loads(found["request"]),
        fingerprint=found["fingerprint"],
        created=datetime.fromisoformat(found["created"]),
        state=state,
        run=run_of(found),
        started=moment_from(found.get("started")),
        ended=moment_from(found.get("ended")),
        tasks=tasks,
        tasks_ended=(tasks or 0) if state.ended else tally.ended,
        progress=1.0 if state is State.SUCCEEDED else round(min(1.0, max(0.0, progress)), 9),
        result=bytes_from(found.get("result")),
        problem=problem_from(found.get("problem")),
        callback=found.get("callback"),
        traceparent=found.get("traceparent"),
        split_in=found.get("split_in"),
        retried=moment_from(found.get("retried")),
    )


def worker_to(worker: Worker) -> Document:
    return {
        "_id": worker.id,
        "v": VERSION,
        "release": worker.release,
        "started": stamp(worker.started),
        "seen": stamp(worker.seen),
        "concurrency": worker.concurrency,
        "tasks": list(worker.tasks),
    }


def worker_from(found: Document) -> Worker:
    return Worker(
        id=found["_id"],
        release=found["release"],
        started=datetime.fromisoformat(found["started"]),
        seen=datetime.fromisoformat(found["seen"]),
        concurrency=found.get("concurrency", 1),
        tasks=tuple(found.get("tasks", ())),
    )


def run_of(found: Document) -> int:
    run: int = found.get("run", 1)
    return run


def problem_to(problem: Problem | None) -> str | None:
    """JSON text, since error messages may contain half surrogates."""
    return _to_json({"type": problem.type, "detail": problem.detail}) if problem else None


def problem_from(text: str | None) -> Problem | None:
    if text is None:
        return None
    fields = json.loads(text)
    return Problem(fields["type"], fields["detail"])


def readable(data: bytes) -> str | bytes:
    """Text where it is text, so that a person can read it in a shell. `bytes_from` is its inverse."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def bytes_from(stored: str | bytes | None) -> bytes | None:
    return stored.encode() if isinstance(stored, str) else stored


def stamp(moment: datetime | None = None) -> str:
    """A time (None: now) as text that sorts; a BSON date has only milliseconds."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def moment_from(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
