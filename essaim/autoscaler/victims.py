"""Who goes when there are too many."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def victims(workers: Sequence[T], running: Callable[[T], bool], busy: Callable[[T], bool]) -> list[T]:
    """All of them, in the ReplicaSet's order: those that do not run, then the idle (the deletion cost), then the young."""
    order = sorted(enumerate(workers), key=lambda it: (running(it[1]), busy(it[1]), -it[0]))
    return [worker for _, worker in order]
