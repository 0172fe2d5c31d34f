"""The three calls into the workload: JSON in, JSON out, since that is what queue and store keep."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pydantic import ValidationError

from essaim.errors import InputsChangedError, JobError, TextChangedError, TextNotFoundError, TooManyTasksError
from essaim.jobs.model import Job
from essaim.jobs.payload import Request, TaskInput, TaskResult
from essaim_worker import workload
from essaim_worker.attempt import Attempt


class Whole(NamedTuple):
    """What an attempt at a whole job has come to: the inputs of its tasks; of a single one its result; that of the job."""

    inputs: list[bytes]
    result: bytes | None = None
    merged: bytes | None = None


def split(job: Job, attempt: Attempt, limit: int) -> list[bytes]:
    """The inputs of the job's tasks. Raises `TooManyTasksError` over `limit`, and what the workload raises."""
    inputs = workload.split(_request(job), attempt.texts)
    if not 1 <= len(inputs) <= limit:
        raise TooManyTasksError(f"the request splits into {len(inputs)} tasks; between 1 and {limit} are allowed")
    return [task.model_dump_json().encode() for task in inputs]


def whole(job: Job, attempt: Attempt, limit: int, split_into: Callable[[list[bytes]], None]) -> Whole:
    """Split the job and, if that gives one task, run and merge it too. `split_into` hears of the inputs before that.

    Raises what splitting and running do. A merge that raises is left to be done, and told of, apart.
    """
    inputs = split(job, attempt, limit)
    if len(inputs) > 1:
        return Whole(inputs)
    split_into(inputs)
    result = run(job, inputs[0], attempt)
    try:
        return Whole(inputs, result, merge(job, [result]))
    except Exception:
        return Whole(inputs, result)


def run(job: Job, task: bytes, attempt: Attempt) -> bytes:
    """The result of one task. Raises what the workload raises, but `InputsChangedError` where that is about a text that
    has changed or is gone: another attempt would meet the same."""
    try:
        return workload.run(_request(job), TaskInput.model_validate_json(task), attempt).model_dump_json().encode()
    except (TextChangedError, TextNotFoundError) as error:
        sentence = f"an input changed after the job was split: {error}; retry the job to split it again"
        raise InputsChangedError(sentence) from error


def merge(job: Job, results: Iterable[bytes]) -> bytes:
    """The result of the job. Raises what the workload raises."""
    parts = (TaskResult.model_validate_json(result) for result in results)
    return workload.merge(_request(job), parts).model_dump_json().encode()


def _request(job: Job) -> Request:
    try:
        return Request.model_validate(job.request)
    except ValidationError as error:
        raise JobError(f"this release does not understand the request: {error}") from error
