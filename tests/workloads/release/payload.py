"""Squares of numbers, by a release that may be a bad one."""

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"number": 0}]})

    number: int
    seconds: float = 0.02


class TaskInput(BaseModel):
    number: int


class TaskResult(BaseModel):
    square: int


class Result(BaseModel):
    square: int
