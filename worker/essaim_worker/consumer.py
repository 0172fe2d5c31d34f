"""A worker process: consumes deliveries, handles at most `concurrency` at once, and drains when it must leave."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from essaim.errors import UnavailableError
from essaim.jobs.backends import Backends
from essaim.jobs.model import Worker
from essaim.jobs.service import JobService
from essaim.jobs.settings import Settings
from essaim.jobs.watching import watch
from essaim.kubernetes.cluster import Cluster, own_cluster
from essaim.telemetry import is_exporting, log
from essaim_worker.execution import Executor
from essaim_worker.handler import Handler
from essaim_worker.pod import PodCost
from essaim_worker.runner import Reason

REPORT_SECONDS = 2.0
PURGE_SECONDS = 600.0


class Consumer:
    """Consumes until `leaving` is set, then hands back what it runs, to be resumed from the last checkpoint."""

    def __init__(
        self,
        backends: Backends,
        settings: Settings,
        worker: str,
        leaving: asyncio.Event,
        cluster: Callable[[], Cluster] = own_cluster,
    ) -> None:
        self._backends = backends
        self._settings = settings
        self._worker = worker
        self._started = datetime.now(UTC)
        self._executor = Executor(backends, settings, worker)
        self._handler = Handler(backends, settings, worker, self._executor)
        self._handling: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._cluster = cluster
        self._pod = PodCost(settings, lambda: len(self._handling))
        self._leaving = leaving

    async def run(self) -> None:
        """Return when drained: `drain_seconds` after `leaving` is set, plus a little for the last writes, or sooner.

        Draining takes no new deliveries, and stops running attempts at their next checkpoint.
        """
        beside = [asyncio.create_task(self._report()), asyncio.create_task(self._purge())]
        if is_exporting():
            beside.append(asyncio.create_task(watch(self._backends.queue, lambda: len(self._handling))))
        if self._settings.pod_name:
            beside.append(asyncio.create_task(self._pod.keep(self._cluster)))
        consuming = asyncio.create_task(self._consume())
        leaving = asyncio.create_task(self._leaving.wait())
        log("worker.started", worker=self._worker, release=self._settings.release)
        await asyncio.wait({consuming, leaving}, return_when=asyncio.FIRST_COMPLETED)
        log("worker.draining", worker=self._worker, running=len(self._handling))
        for task in (consuming, leaving, *beside):
            task.cancel()
        results = await asyncio.gather(consuming, leaving, *beside, return_exceptions=True)
        await self._drain()
        with suppress(UnavailableError):
            await self._backends.store.report(self._status(), gone=True)
        log("worker.left", worker=self._worker)
        for error in results:
            if isinstance(error, Exception):
                raise error

    async def _consume(self) -> None:
        async with self._backends.queue.deliveries(self._settings.concurrency) as deliveries:
            async for delivery in deliveries:
                task = asyncio.create_task(self._handler.handle(delivery))
                self._handling.add(task)
                task.add_done_callback(self._handled)
                self._busy_changed()

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        self._busy_changed()

    def _busy_changed(self) -> None:
        self._changed.set()
        self._pod.changed()

    async def _drain(self) -> None:
        for runner in list(self._executor.running.values()):
            runner.stop(Reason.DRAINING)
        if self._handling:
            await asyncio.wait(self._handling, timeout=self._settings.drain_seconds)
        for runner in list(self._executor.running.values()):
            runner.abandon()
        if self._handling:
            await asyncio.wait(self._handling, timeout=self._settings.drain_seconds / 5)

    async def _report(self) -> None:
        """Report to the store what this worker runs: on every change, and often enough to count as alive."""
        period, missed = min(REPORT_SECONDS, self._settings.lease_seconds / 3), False
        while True:
            self._changed.clear()
            try:
                await self._backends.store.report(self._status())
                missed = False
            except UnavailableError as error:
                if not missed:  # one line per outage
                    log("worker.report_missed", reason=error)
                missed = True
            with suppress(TimeoutError):
                async with asyncio.timeout(period):
                    await self._changed.wait()
            await asyncio.sleep(period / 20)  # many small tasks share a report

    async def _purge(self) -> None:
        service = JobService(self._backends, self._settings)
        while True:
            await asyncio.sleep(PURGE_SECONDS)
            with suppress(UnavailableError):
                if gone := await service.purge():
                    log("jobs.purged", count=gone)

    def _status(self) -> Worker:
        return Worker(
            id=self._worker,
            release=self._settings.release,
            started=self._started,
            seen=datetime.now(UTC),
            concurrency=self._settings.concurrency,
            tasks=tuple(self._executor.running),
        )
