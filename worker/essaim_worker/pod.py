"""Sets the deletion cost of this worker's pod: Kubernetes removes pods with a lower cost first.

The cost is 100 per delivery in progress. The age of an attempt does not count: its work resumes elsewhere from the last
checkpoint, so the loss does not grow with time. Each write costs the API server and everyone who watches pods. So work that
ends within `RISE_SECONDS` is not reported, and a worker is idle only after `FALL_SECONDS` without work: many small tasks
in a row cost one write.
"""

import asyncio
import logging
from collections.abc import Callable

from essaim.jobs.settings import Settings
from essaim.kubernetes.client import Kubernetes, Resource, open_kubernetes
from essaim.kubernetes.cluster import Cluster
from essaim.telemetry import log

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
COST = 100  # leaves lower values for pods that an operator ranks by hand
RISE_SECONDS = 1.0
FALL_SECONDS = 10.0
FIRST_PAUSE = 5.0  # seconds after a failed write; doubles
LONGEST_PAUSE = 60.0


class PodCost:
    """`busy` returns the number of deliveries in progress; call `changed` whenever it changes.

    Best effort: one request at a time, with the cost at that moment; failures never stop the work.
    """

    def __init__(
        self,
        settings: Settings,
        busy: Callable[[], int],
        *,
        rise: float = RISE_SECONDS,
        fall: float = FALL_SECONDS,
        pause: float = FIRST_PAUSE,
    ) -> None:
        self._pod = Resource(settings.pod_namespace, "pods", settings.pod_name)
        self._busy = busy
        self._rise, self._fall, self._first_pause = rise, fall, pause
        self._changed = asyncio.Event()
        self._shown: int | None = None  # unknown: a restarted container finds the cost that the last one left

    def changed(self) -> None:
        self._changed.set()

    async def keep(self, cluster: Callable[[], Cluster]) -> None:
        """Keep the annotation up to date, until cancelled."""
        pause, missed = self._first_pause, False
        while True:
            await self._due()
            try:
                async with open_kubernetes(cluster()) as kubernetes:  # writes are rare: keep no connection
                    await self._show(kubernetes)
            except Exception as error:
                if not missed:
                    log("pod.cost_missed", level=logging.WARNING, reason=error)
                missed = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if missed:
                    log("pod.cost_shown", cost=self._shown)
                pause, missed = self._first_pause, False

    async def _due(self) -> None:
        """Return once the cost has differed from the one shown for long enough."""
        while True:
            self._changed.clear()
            if self._cost() == self._shown:
                await self._changed.wait()
            elif self._cost() > (self._shown or 0):
                await asyncio.sleep(self._rise)
                if self._cost() > (self._shown or 0):
                    return
            else:
                try:
                    async with asyncio.timeout(self._fall):
                        await self._risen()
                except TimeoutError:
                    return

    async def _risen(self) -> None:
        while self._cost() < (COST if self._shown is None else self._shown):
            await self._changed.wait()
            self._changed.clear()

    async def _show(self, kubernetes: Kubernetes) -> None:
        cost = self._cost()
        await kubernetes.merge(self._pod, {"metadata": {"annotations": {ANNOTATION: str(cost)}}})
        self._shown = cost

    def _cost(self) -> int:
        return COST * self._busy()
