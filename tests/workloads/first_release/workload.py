"""Adds up the numbers. Each attempt is a line in the journal."""

from collections.abc import Iterable
from pathlib import Path

from essaim_worker.attempt import Attempt, Texts

from .payload import Request, Result, TaskInput, TaskResult

RELEASE = "first"


def split(request: Request, texts: Texts) -> list[TaskInput]:
    return [TaskInput(number=number) for number in request.numbers]


def run(request: Request, task: TaskInput, attempt: Attempt) -> TaskResult:
    with Path(request.journal).open("a") as journal:
        journal.write(f"{RELEASE} {task.number}\n")
    attempt.sleep(request.seconds)
    return TaskResult(number=task.number)


def merge(request: Request, results: Iterable[TaskResult]) -> Result:
    return Result(by=RELEASE, total=sum(result.number for result in results))
