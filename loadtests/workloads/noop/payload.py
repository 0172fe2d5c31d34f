"""A workload that does nothing, to measure what everything around it costs."""

from pydantic import BaseModel


class Request(BaseModel):
    text: str
    words: list[str]


class TaskInput(BaseModel):
    number: int


class TaskResult(BaseModel):
    number: int


class Result(BaseModel):
    tasks: int
