"""Calls that come at the same time share a round trip. One that comes alone is sent at once: nobody waits for company."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from essaim.errors import JobError

T = TypeVar("T")
R = TypeVar("R")

MOST = 100  # calls in one round trip


class Batches(Generic[T, R]):
    """What is asked for while `send` is under way goes along with the next one.

    `send` gives each its answer or its error, or raises for all; what is impossible with one of several is tried alone.
    """

    def __init__(self, send: Callable[[Sequence[T]], Awaitable[Sequence[R | BaseException]]]) -> None:
        self._send = send
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, item: T) -> R:
        """The answer to this one. A caller that is cancelled does not stop the others, nor what was asked."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await answer

    async def _send_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            answers = await self._answers([item for item, _ in batch])
            for (_, waiting), answer in zip(batch, answers, strict=True):
                if waiting.done():  # its caller has left
                    continue
                if isinstance(answer, BaseException):
                    waiting.set_exception(answer)
                else:
                    waiting.set_result(answer)
        self._sending = None

    async def _answers(self, items: Sequence[T]) -> Sequence[R | BaseException]:
        try:
            return await self._send(items)
        except JobError as error:  # one is too large; to ask again changes nothing for the others
            return [error] if len(items) == 1 else [(await self._answers([item]))[0] for item in items]
        except Exception as error:
            return [error] * len(items)
