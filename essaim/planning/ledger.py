"""The jobs of a simulation: when each arrived and ended, and its remaining tasks."""

from collections.abc import Sequence
from math import inf

Task = tuple[int, float]
"""The index of its job in the order of arrivals, and its duration in seconds."""


class Ledger:
    """`arrived` and `ended` are in the order of arrivals; `work`: seconds of finished work. `split`: as in `ClusterModel`."""

    def __init__(self, split: float) -> None:
        self.arrived: list[float] = []
        self.ended: list[float] = []
        self.work = 0.0
        self._split = split
        self._parts: dict[int, tuple[float, ...] | int] = {}

    def arrive(self, at: float, works: tuple[float, ...]) -> Task:
        """The first task of a new job: its only one, or the split."""
        index = len(self.ended)
        self.arrived.append(at)
        self.ended.append(inf)
        if len(works) == 1:
            return index, works[0]
        self._parts[index] = works
        return index, self._split

    def end(self, now: float, task: Task) -> Sequence[Task]:
        """End a task. Returns the new tasks if it was a split."""
        index, work = task
        self.work += work
        parts = self._parts
        if not parts or index not in parts:
            self.ended[index] = now
        elif isinstance(works := parts[index], tuple):
            parts[index] = len(works)
            return [(index, work) for work in works]
        elif works > 1:
            parts[index] = works - 1
        else:
            del parts[index]
            self.ended[index] = now
        return ()
