"""The next release: it takes more in a request, and keeps tasks and results in another shape."""

from pydantic import BaseModel, Field


class Request(BaseModel):
    journal: str
    numbers: list[int]
    seconds: float = 0.0
    unit: str | None = Field(default=None, description="unknown to the release before")


class TaskInput(BaseModel):
    summand: int


class TaskResult(BaseModel):
    sum: int


class Result(BaseModel):
    by: str
    sum: int
    unit: str | None
