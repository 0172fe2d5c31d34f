"""The workload, as the worker calls it: JSON in, JSON out, since that is what queue and store keep."""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from essaim.errors import InputsChangedError, JobError, TextChangedError, TextNotFoundError, TooManyTasksError
from essaim.jobs.model import Job
from essaim.jobs.payload import Payload, load_module, load_payload
from essaim_worker.attempt import Attempt


class SingleTask(NamedTuple):
    """What splitting gave. `result` and `merged` are set only where it gave one task, which was then run at once."""

    inputs: list[bytes]
    result: bytes | None = None
    merged: bytes | None = None


class Workload:
    """`split`, `run` and `merge` of the module `workload` in a workload's package, between bytes of JSON."""

    def __init__(self, payload: Payload, module: ModuleType) -> None:
        self._payload = payload
        self._module = module

    def split(self, job: Job, attempt: Attempt, limit: int) -> list[bytes]:
        """The inputs of the job's tasks. Raises `TooManyTasksError` over `limit`, and what the workload raises."""
        inputs = self._module.split(self._request(job), attempt.texts)
        if not 1 <= len(inputs) <= limit:
            raise TooManyTasksError(f"the request splits into {len(inputs)} tasks; between 1 and {limit} are allowed")
        return [task.model_dump_json().encode() for task in inputs]

    def run_single_task(
        self, job: Job, attempt: Attempt, limit: int, defer_plan: Callable[[list[bytes]], None]
    ) -> SingleTask:
        """Split the job and, if that gives one task, run and merge it too. `defer_plan` gets the inputs before that.

        Raises what splitting and running raise. A merge that raises is left to be done, and reported, by itself.
        """
        inputs = self.split(job, attempt, limit)
        if len(inputs) > 1:
            return SingleTask(inputs)
        defer_plan(inputs)
        result = self.run(job, inputs[0], attempt)
        try:
            return SingleTask(inputs, result, self.merge(job, [result]))
        except Exception:
            return SingleTask(inputs, result)

    def run(self, job: Job, task: bytes, attempt: Attempt) -> bytes:
        """The result of one task. Raises what the workload raises, but `InputsChangedError` for a text that has changed
        or is gone: another attempt would find the same."""
        try:
            result = self._module.run(self._request(job), self._payload.task_input.model_validate_json(task), attempt)
        except (TextChangedError, TextNotFoundError) as error:
            sentence = f"an input changed after the job was split: {error}; retry the job to split it again"
            raise InputsChangedError(sentence) from error
        return _json(result)

    def merge(self, job: Job, results: Iterable[bytes]) -> bytes:
        """The result of the job. Raises what the workload raises."""
        parts = (self._payload.task_result.model_validate_json(result) for result in results)
        return _json(self._module.merge(self._request(job), parts))

    def _request(self, job: Job) -> BaseModel:
        try:
            return self._payload.request.model_validate(job.request)
        except ValidationError as error:
            raise JobError(f"this release does not understand the request: {error}") from error


def load_workload(package: str) -> Workload:
    """Import the workload with that name. Raises `SettingsError` if it is missing or incomplete."""
    return Workload(load_payload(package), load_module(package, "workload", ("split", "run", "merge")))


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json().encode()
