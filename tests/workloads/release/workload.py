"""How bad it is, the environment says: what percentage of jobs fail, how much longer each takes, what is added to results.

It may also name a folder: then a job needs a file there that is called like its number.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from random import Random

from essaim.errors import JobError
from essaim_worker.attempt import Attempt, Texts

from .payload import Request, Result, TaskInput, TaskResult

FAILING = float(os.environ.get("ESSAIM_TEST_FAILING", "0"))
SLOWDOWN = float(os.environ.get("ESSAIM_TEST_SLOWDOWN", "1"))
WRONG_BY = int(os.environ.get("ESSAIM_TEST_WRONG_BY", "0"))
INPUTS = os.environ.get("ESSAIM_TEST_INPUTS", "")


def split(request: Request, texts: Texts) -> list[TaskInput]:
    return [TaskInput(number=request.number)]


def run(request: Request, task: TaskInput, attempt: Attempt) -> TaskResult:
    attempt.sleep(request.seconds * SLOWDOWN)
    if INPUTS and not Path(INPUTS, str(request.number)).exists():
        raise JobError(f"what {request.number} needs is gone")
    if request.number and Random(request.number).random() * 100 < FAILING:
        raise JobError(f"this release cannot do {request.number}")
    return TaskResult(square=task.number**2 + WRONG_BY)


def merge(request: Request, results: Iterable[TaskResult]) -> Result:
    (result,) = results
    return Result(square=result.square)
