"""Adds up the numbers, or breaks at a negative one. Each attempt is a line in the journal."""

from collections.abc import Iterable
from pathlib import Path

from essaim_worker.attempt import Attempt, Texts

from .payload import Request, Result, TaskInput, TaskResult

RELEASE = "second"


def split(request: Request, texts: Texts) -> list[TaskInput]:
    return [TaskInput(summand=number) for number in request.numbers]


def run(request: Request, task: TaskInput, attempt: Attempt) -> TaskResult:
    with Path(request.journal).open("a") as journal:
        journal.write(f"{RELEASE} {task.summand}\n")
    attempt.sleep(request.seconds)
    if task.summand < 0:
        raise ValueError("the next release knows no negative numbers")
    return TaskResult(sum=task.summand)


def merge(request: Request, results: Iterable[TaskResult]) -> Result:
    return Result(by=RELEASE, sum=sum(result.sum for result in results), unit=request.unit)
