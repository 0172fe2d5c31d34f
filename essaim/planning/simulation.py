"""An event-driven simulation of queue and workers under load. It runs the real `Autoscaler`.

It does not simulate failures, retries, the API, and tasks that slow each other down.
"""

import itertools
from collections import Counter, deque
from collections.abc import Iterable
from heapq import heappop, heappush, heapreplace
from math import inf
from typing import Any

from essaim.autoscaler.autoscaler import Autoscaler
from essaim.autoscaler.policy import Policy
from essaim.autoscaler.triggers import Sample
from essaim.autoscaler.victims import victims
from essaim.jobs.model import Depth
from essaim.planning.arrivals import Arrival
from essaim.planning.forecast import ClusterModel, Forecast, exact
from essaim.planning.ledger import Ledger, Task
from essaim.planning.recording import Moment

_NEVER: Arrival = (inf, ())
TAIL_SECONDS = 3600.0
"""The simulation ends this long after the last job's end, or after tasks have waited this long without any worker."""


class _Worker:
    """`ready`: takes deliveries; `stopping`: drains; `gone`: has exited, and its task went back to the queue."""

    __slots__ = ("gone", "ready", "since", "stopping")

    def __init__(self, since: float) -> None:
        self.since = since
        self.ready = self.stopping = self.gone = False


class Simulation:
    """Starts at time `start`. `phases`: the elapsed shares of the polling and the sync period at that time, from 0 to 1.

    `workers`: the initial number, by default the minimum. `every`: seconds between two moments. Deterministic if arrivals
    and start-up times are.
    """

    def __init__(
        self,
        policy: Policy,
        model: ClusterModel,
        arrivals: Iterable[Arrival],
        *,
        start: float = 0.0,
        phases: tuple[float, float] = (0.0, 0.0),
        workers: int | None = None,
        every: float = 1.0,
    ) -> None:
        self._policy, self._model, self._start, self._every = policy, model, start, every
        poll, sync = -phases[0] * policy.polling_interval, (1 - phases[1]) * model.sync_seconds
        clocks = (start * model.speed + poll, start * model.speed + sync, model.sync_seconds)
        self._autoscaler = Autoscaler(policy, *map(exact, clocks))
        self._arrivals, self._more = iter(arrivals), True
        self._jobs = Ledger(model.split)
        self._happenings: list[tuple[float, int, Any, Any]] = []  # when, which of several at once, whose, what
        self._order = itertools.count()
        self._waiting: deque[Task] = deque()
        self._free: deque[_Worker] = deque()
        self._workers: list[_Worker] = []
        self._shown: Depth | None = None
        self._leaving: set[_Worker] = set()
        self._moments: list[Moment] = []
        self._worker_seconds = 0.0
        self._given_back, self._quiet_since, self._over, self._until = 0, start, False, inf
        self._floor = policy.min_replicas if policy.idle_replicas is None else policy.idle_replicas
        self._desired = self._floor if workers is None else workers
        for _ in range(self._desired):
            self._add(start, 0.0)

    def run(self, until: float = inf) -> Forecast:
        """Up to that time; or until all jobs have ended and the workers are as few as they can be."""
        self._until = until
        for control in (self._show, self._scale, self._look):
            self._later(self._start, None, control)
        happenings, waiting, order = self._happenings, self._waiting, self._order
        handover, end = self._model.handover, self._jobs.end
        at, works = next(self._arrivals, _NEVER)
        while not self._over:
            now, _, worker, what = happenings[0]
            if at <= now:
                self._arrive(at, works)
                at, works = next(self._arrivals, _NEVER)
            elif not waiting or worker is None or worker.stopping or what is None:
                heappop(happenings)
                self._more = at < inf
                self._happen(now, worker, what)
            else:  # by far the most frequent: one task ends, and its worker takes the next
                waiting.extend(end(now, what))
                task = waiting.popleft()
                heapreplace(happenings, (now + handover + task[1], next(order), worker, task))
        for worker in (*self._workers, *self._leaving):
            self._worker_seconds += now - worker.since
        jobs = self._jobs
        return Forecast(
            tuple(self._moments), jobs.arrived, jobs.ended, self._worker_seconds, jobs.work, self._given_back
        )

    def _later(self, when: float, worker: _Worker | None, what: Any) -> None:
        heappush(self._happenings, (when, next(self._order), worker, what))

    def _arrive(self, at: float, works: tuple[float, ...]) -> None:
        self._waiting.append(self._jobs.arrive(at, works))
        if self._free:
            self._serve(at)

    def _serve(self, now: float) -> None:
        while self._waiting and self._free:
            worker = self._free.popleft()
            if not worker.stopping:
                task = self._waiting.popleft()
                self._later(now + self._model.handover + task[1], worker, task)

    def _happen(self, now: float, worker: _Worker | None, what: Any) -> None:
        if worker is None:
            return what(now)  # type: ignore[no-any-return]
        if worker.gone:
            return
        if what is None:
            worker.ready = True
            self._free.extend([worker] * self._model.concurrency)
        else:
            self._waiting.extend(self._jobs.end(now, what))
            self._free.append(worker)
        self._serve(now)

    def _show(self, now: float) -> None:
        """The management API looks at the queue."""
        if self._model.shown_every:
            self._shown = self._depth()
            self._later(now + self._model.shown_every, None, self._show)

    def _scale(self, _: float) -> None:
        depth, due = self._depth(), self._autoscaler.due
        metrics = self._policy.metrics(depth, self._shown)
        ready = sum(worker.ready for worker in self._workers)
        self._desired = self._autoscaler.observe(Sample(due, metrics, self._desired, ready)).replicas
        if self._desired != len(self._workers):
            self._reconcile(due / self._model.speed)
        self._later(self._autoscaler.due / self._model.speed, None, self._scale)

    def _reconcile(self, now: float) -> None:
        """The ReplicaSet's work."""
        for _ in range(self._desired - len(self._workers)):
            self._add(now, self._model.start_up())
        busy = self._running()
        leaving = victims(self._workers, lambda worker: worker.ready, lambda worker: worker in busy)
        for worker in leaving[: max(0, len(self._workers) - self._desired)]:
            self._workers.remove(worker)
            worker.stopping = True
            self._leaving.add(worker)
            self._later(
                now + self._model.drain * worker.ready, None, lambda now, worker=worker: self._leave(now, worker)
            )

    def _add(self, now: float, start_up: float) -> None:
        worker = _Worker(now)
        self._workers.append(worker)
        self._later(now + start_up, worker, None)

    def _leave(self, now: float, worker: _Worker) -> None:
        worker.gone = True
        self._leaving.remove(worker)
        self._worker_seconds += now - worker.since
        for end, _, whose, task in self._happenings:
            if whose is worker and task is not None:
                left = min(end - now, task[1])
                self._jobs.work += task[1] - left
                self._waiting.appendleft((task[0], left))
                self._given_back += 1
        self._serve(now)

    def _running(self) -> Counter[_Worker]:
        """How many tasks each worker has in hand."""
        return Counter(worker for _, _, worker, what in self._happenings if worker and what and not worker.gone)

    def _depth(self) -> Depth:
        in_flight = sum(1 for _, _, worker, what in self._happenings if worker and what and not worker.gone)
        return Depth(len(self._waiting), in_flight)

    def _look(self, now: float) -> None:
        running, ready = self._running(), sum(worker.ready for worker in self._workers)
        there = ready + sum(worker.ready for worker in self._leaving)
        in_flight = running.total()
        self._moments.append(Moment(now, len(self._waiting), in_flight, there, len(running), self._desired, ready))
        if self._more or in_flight or ready < len(self._workers):
            self._quiet_since = now
        quiet = now > self._quiet_since
        settled = quiet and not self._waiting and len(self._workers) <= self._floor and not self._leaving
        given_up = now > self._quiet_since + self._policy.polling_interval + TAIL_SECONDS
        self._over = now >= self._until or (self._until == inf and (settled or given_up))
        self._later(now + self._every, None, self._look)
