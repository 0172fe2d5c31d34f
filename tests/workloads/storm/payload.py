"""A workload for storms: its result tells of every step left out, done twice or done by an attempt that had lost its lease."""

from pydantic import BaseModel


class Request(BaseModel):
    journal: str
    tasks: int = 1
    steps: int = 5
    step_seconds: float = 0.01
    raises: int = 0
    rejects: bool = False
    merge_fails: bool = False
    padding: int = 0


class TaskInput(BaseModel):
    number: int


class TaskResult(BaseModel):
    digest: str
    attempt: int
    padding: str


class Checkpoint(BaseModel):
    step: int = 0
    digest: str = ""
    attempt: int = 0


class Result(BaseModel):
    digests: list[str]
    attempts: list[int]
    padding: int
