"""Local workers, scaled by the ScaledObject: does the work of KEDA, the HPA, the ReplicaSet and the kubelet."""

import asyncio
import itertools
import logging
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import IO, Self

from essaim.autoscaler.autoscaler import Autoscaler, ScalingDecision, why
from essaim.autoscaler.policy import Policy
from essaim.autoscaler.triggers import Sample
from essaim.autoscaler.victims import victims
from essaim.jobs.model import Depth
from essaim.supervisor.replica import Launch, Replica, WorkerStatus
from essaim.telemetry import log

ASK_SECONDS = 3.0
"""Timeout of a query of the queue; as KEDA's own HTTP timeout."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The current numbers. `depth` is None while the queue cannot be reached, `metric` (the formula's value) likewise.

    `speed`: simulated seconds per real second, so that a display can say so. `reason` counts simulated seconds.
    """

    desired: int
    depth: Depth | None
    metric: float | None
    reason: str
    speed: float
    workers: tuple[WorkerStatus, ...]


async def _nobody() -> Collection[str]:
    return ()


class Supervisor:
    """Keeps the desired number of worker processes while its context is open; on exit drains and stops all of them.

    `depth` tells the queue's depth: if it raises, that is a failed trigger, and the policy decides. `busy` tells the ids
    of the workers that run something now, so that idle ones are stopped first. `command` starts one worker; it gets
    `env` (default: this process's) with `ESSAIM_WORKER_ID` and `ESSAIM_PARENT_FD` added, and `output` for both
    its streams (default: this process's). `grace`: real seconds that a worker has to drain. `speed`: simulated seconds
    per real second; makes polls, syncs, cooldown and restarts come faster, never the drain.
    """

    def __init__(
        self,
        policy: Policy,
        depth: Callable[[], Awaitable[Depth]],
        *,
        busy: Callable[[], Awaitable[Collection[str]]] = _nobody,
        command: Sequence[str] = (sys.executable, "-m", "essaim_worker"),
        env: Mapping[str, str] | None = None,
        output: int | IO[bytes] | None = None,
        speed: float = 1.0,
        grace: float = 30.0,
    ) -> None:
        self._policy = policy
        self._ask_depth = depth
        self._ask_busy = busy
        self._launch = Launch(tuple(command), os.environ.copy() if env is None else env, output, grace, speed)
        self._speed = speed
        self._depth: Depth | None = None
        self._outage = False
        self._leaving = False
        self._decision = ScalingDecision(0, None, "starting")
        self._replicas: dict[Replica, asyncio.Task[None]] = {}
        swarm = secrets.token_hex(2)  # two supervisors on one store must not share ids
        self._ids = (f"local-{swarm}-{number}" for number in itertools.count(1))

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="supervisor")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self._task.cancel()  # no time left for the grace period
            await asyncio.wait({self._task})
            raise
        if not self._task.cancelled() and (fault := self._task.exception()):
            raise fault

    def leave(self) -> None:
        """Start draining; closing the context waits until it is done."""
        if not self._leaving:  # a second time would mean that there is no time left
            self._leaving = True
            self._task.cancel()

    def snapshot(self) -> Snapshot:
        """The latest numbers, and every worker that has not exited yet."""
        workers = tuple(replica.status() for replica in self._replicas)
        decision = self._decision
        reason = why(decision, self._policy)
        return Snapshot(decision.replicas, self._depth, decision.metric, reason, self._speed, workers)

    async def _run(self) -> None:
        autoscaler = Autoscaler(self._policy, self._now())
        try:
            while not self._leaving:  # a driver may swallow a cancellation: then the step under way is the last
                if self._now() >= autoscaler.due:  # a sleep may end a little early
                    await self._step(autoscaler)
                await asyncio.sleep(max(0.0, autoscaler.due - self._now()) / self._speed)
        except Exception as error:
            log("supervisor.failed", level=logging.ERROR, error=error)
            raise
        finally:
            await self._drain()

    def _now(self) -> float:
        return asyncio.get_running_loop().time() * self._speed

    async def _step(self, autoscaler: Autoscaler) -> None:
        now, before = self._now(), self._decision.replicas
        metrics = await self._metrics()
        ready = sum(replica.running for replica in self._replicas)
        self._decision = autoscaler.observe(Sample(now, metrics, before, ready))
        if self._decision.replicas != before:
            log(
                "workers.scaled", before=before, after=self._decision.replicas, reason=why(self._decision, self._policy)
            )
        await self._reconcile(self._decision.replicas)

    async def _metrics(self) -> dict[str, float | None]:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                self._depth = await self._ask_depth()
        except Exception as error:  # whatever it is, KEDA would call it a failed trigger
            self._depth = None
            if not self._outage:
                log("queue.unavailable", level=logging.WARNING, reason=repr(error))
            self._outage = True
            return {trigger.name: None for trigger in self._policy.triggers}
        if self._outage:
            log("queue.available")
        self._outage = False
        return self._policy.metrics(self._depth)

    async def _reconcile(self, replicas: int) -> None:
        """Does the ReplicaSet's work. Stopping workers do not count, so new ones may start beside them."""
        kept = [replica for replica in self._replicas if not replica.stopping]
        for _ in range(replicas - len(kept)):
            replica = Replica(next(self._ids), self._launch)
            task = asyncio.create_task(replica.run(), name=replica.id)
            self._replicas[replica] = task
            task.add_done_callback(partial(self._left, replica))
        if replicas < len(kept):
            busy = await self._busy() if replicas else ()
            for replica in victims(kept, lambda it: it.running, lambda it: it.id in busy)[: len(kept) - replicas]:
                replica.stop()

    def _left(self, replica: Replica, task: asyncio.Task[None]) -> None:
        del self._replicas[replica]
        if not task.cancelled() and (error := task.exception()):
            log("worker.lost", level=logging.ERROR, worker=replica.id, error=error)

    async def _busy(self) -> Collection[str]:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await self._ask_busy()
        except Exception as error:  # then the youngest go first, and give their work back
            log("workers.unknown", level=logging.WARNING, reason=repr(error))
            return ()

    async def _drain(self) -> None:
        for replica in self._replicas:
            replica.stop()
        try:
            while tasks := set(self._replicas.values()):
                await asyncio.wait(tasks)
        finally:
            for task in (left := list(self._replicas.values())):
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
