"""Each task adds up its steps; each step is a line in the journal, written before the step is saved."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from essaim.errors import JobError
from essaim_worker.attempt import Attempt, Texts

from .payload import Checkpoint, Request, Result, TaskInput, TaskResult


def split(request: Request, texts: Texts) -> list[TaskInput]:
    if request.split_fails:
        tries = Path(request.journal + ".splits")
        with tries.open("a") as file:
            file.write("x")
        if len(tries.read_text()) <= request.split_fails:
            raise OSError("the disk hums")
    for _ in range(request.looks):
        list(texts.list("**"))
    etag = texts.stat(request.reads).etag if request.reads else None
    return [TaskInput(number=number, etag=etag) for number in range(request.tasks)]


def run(request: Request, task: TaskInput, attempt: Attempt) -> TaskResult:
    state = Checkpoint.model_validate_json(attempt.checkpoint or b'{"next_step": 0, "total": 0}')
    if request.rejects:
        raise JobError("this request cannot succeed")
    if request.leaves:
        raise {"SystemExit": SystemExit, "StopIteration": StopIteration}[request.leaves]
    if request.kills:
        os.abort()
    reads = request.reads if task.number == request.tasks - 1 else None
    if reads and attempt.texts.read(reads, 0, 100, etag=task.etag) == b"broken":
        raise ValueError(f"{reads} is broken")
    while request.stalls:
        time.sleep(0.1)
    for step in range(state.next_step, request.steps):
        write(request, f"{task.number} {attempt.number} {step}")
        attempt.sleep(request.step_seconds)
        if step == request.steps // 2 and comes(request, task, step) <= request.raises:
            raise ValueError(f"attempt {attempt.number} is not its day")
        state = Checkpoint(next_step=step + 1, total=state.total + step)
        attempt.save((step + 1) / request.steps, state)
    return TaskResult(number=task.number, total=state.total)


def merge(request: Request, results: Iterable[TaskResult]) -> Result:
    if request.merge_raises:
        raise ZeroDivisionError("the merge is broken")
    if request.merge_kills:
        os.abort()
    done = []
    for result in results:
        time.sleep(request.merge_seconds)
        done.append(result)
    return Result(total=sum(result.total for result in done), numbers=[result.number for result in done])


def comes(request: Request, task: TaskInput, step: int) -> int:
    """How often the task has come to that step. An attempt has a number even where it was given back before any step."""
    lines = (line.split() for line in Path(request.journal).read_text().splitlines())
    return sum((int(number), int(done)) == (task.number, step) for number, _, done in lines)


def write(request: Request, line: str) -> None:
    descriptor = os.open(request.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
