"""A release for tests: each task is a number, and the result says which release it comes from."""

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    journal: str
    numbers: list[int]
    seconds: float = 0.0


class TaskInput(BaseModel):
    number: int


class TaskResult(BaseModel):
    number: int


class Result(BaseModel):
    by: str
    total: int
