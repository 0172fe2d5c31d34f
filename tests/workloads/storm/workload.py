"""Each step goes into a digest that the checkpoint carries, and into a journal that shows what was done again."""

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from essaim.errors import JobError
from essaim_worker.attempt import Attempt, Texts

from .payload import Checkpoint, Request, Result, TaskInput, TaskResult


def split(request: Request, texts: Texts) -> list[TaskInput]:
    return [TaskInput(number=number) for number in range(request.tasks)]


def run(request: Request, task: TaskInput, attempt: Attempt) -> TaskResult:
    state = Checkpoint.model_validate_json(attempt.checkpoint or b"{}")
    note(request, f"start {task.number} {attempt.number} {state.attempt} {state.step} {os.getpid()}")
    for step in range(state.step, request.steps):
        if step == request.steps // 2:
            disturb(request, task)
        note(request, f"step {task.number} {attempt.number} {step}")
        attempt.sleep(request.step_seconds)
        digest = sha256(f"{state.digest} {task.number} {step}".encode()).hexdigest()
        state = Checkpoint(step=step + 1, digest=digest, attempt=attempt.number)
        attempt.save((step + 1) / request.steps, state)
    return TaskResult(digest=state.digest, attempt=attempt.number, padding="x" * request.padding)


def merge(request: Request, results: Iterable[TaskResult]) -> Result:
    if request.merge_fails:
        raise ZeroDivisionError("the merge is broken")
    done = list(results)
    return Result(
        digests=[one.digest for one in done],
        attempts=[one.attempt for one in done],
        padding=sum(len(one.padding) for one in done),
    )


def disturb(request: Request, task: TaskInput) -> None:
    """The last task is the one that fails, so that the others may be under way."""
    if task.number != request.tasks - 1:
        return
    if request.rejects:
        raise JobError("this request cannot succeed")
    if sum(line == "raise" for line in Path(request.journal).read_text().splitlines()) < request.raises:
        note(request, "raise")
        raise ValueError("a bad day")


def note(request: Request, line: str) -> None:
    descriptor = os.open(request.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
