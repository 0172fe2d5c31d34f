"""A workload for tests: counts steps, and writes each into a journal, so that redone work can be counted."""

from typing import Literal

from pydantic import BaseModel


class Request(BaseModel):
    journal: str
    tasks: int = 1
    steps: int = 5
    step_seconds: float = 0.01
    split_fails: int = 0
    raises: int = 0
    rejects: bool = False
    leaves: Literal["SystemExit", "StopIteration"] | None = None
    kills: bool = False
    stalls: bool = False
    merge_raises: bool = False
    merge_kills: bool = False
    merge_seconds: float = 0.0
    looks: int = 0
    reads: str | None = None


class TaskInput(BaseModel):
    number: int
    etag: str | None = None


class TaskResult(BaseModel):
    number: int
    total: int


class Checkpoint(BaseModel):
    next_step: int
    total: int


class Result(BaseModel):
    total: int
    numbers: list[int]
