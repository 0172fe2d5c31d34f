"""One task that ends as soon as it begins."""

from collections.abc import Iterable

from essaim_worker.attempt import Attempt, Texts

from .payload import Request, Result, TaskInput, TaskResult


def split(request: Request, texts: Texts) -> list[TaskInput]:
    return [TaskInput(number=0)]


def run(request: Request, task: TaskInput, attempt: Attempt) -> TaskResult:
    return TaskResult(number=task.number)


def merge(request: Request, results: Iterable[TaskResult]) -> Result:
    return Result(tasks=len(list(results)))
