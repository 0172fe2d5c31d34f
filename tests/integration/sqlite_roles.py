"""What the processes do that `test_sqlite_processes.py` starts: `python sqlite_roles.py ROLE ARGUMENT...`."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from essaim.errors import LeaseLostError
from essaim.jobs.adapters.sqlite.queue import open_sqlite_queue
from essaim.jobs.adapters.sqlite.store import open_sqlite_store
from essaim.jobs.events import JobRetried, JobSubmitted, from_event, to_event
from essaim.jobs.model import MERGE, Busy, Claimed, Ended, Job
from essaim.jobs.ports import Delivery, JobStore

LEASE_SECONDS = 1.0


async def join(folder: str) -> None:
    """Open a fresh file whenever a line says so, and leave a message and a job in it."""
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        url = f"sqlite:///{folder}/{line.strip()}.db"
        async with open_sqlite_queue(url, "r1", 100) as queue, open_sqlite_store(url, LEASE_SECONDS) as store:
            job = Job(f"job-{os.getpid()}", "ada", "r1", {}, "f", datetime.now(UTC))
            await queue.publish([to_event(JobSubmitted(job), "r1")])
            await store.submit(job)
        print("in", flush=True)


async def hold(url: str) -> None:
    """Take one message at a time and acknowledge it when a line says so."""
    async with open_sqlite_queue(url, "r1", 10) as queue, queue.deliveries(1) as deliveries:
        async for delivery in deliveries:
            message = from_event(delivery.event)
            assert isinstance(message, JobRetried)
            print("holds", message.job_id, flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            await delivery.ack()
            print("acknowledged", message.job_id, flush=True)


async def consume(url: str, log: str) -> None:
    """Run jobs of one task, four at once, and note each completion in the log."""
    async with (
        open_sqlite_queue(url, "r1", 1000) as queue,
        open_sqlite_store(url, LEASE_SECONDS) as store,
        queue.deliveries(4) as deliveries,
        asyncio.TaskGroup() as handling,
    ):
        with open(log, "ab", buffering=0) as completed:
            async for delivery in deliveries:
                handling.create_task(_handle(delivery, store, completed.write))


async def _handle(delivery: Delivery, store: JobStore, note: Callable[[bytes], object]) -> None:
    message = from_event(delivery.event)
    assert isinstance(message, JobSubmitted)
    job = await store.submit(message.job)
    try:
        match await store.claim(job.id, 0, str(os.getpid())):
            case Busy(seconds):
                await delivery.retry(seconds)
                return
            case Claimed(claim):
                if claim.number != MERGE:
                    await store.plan(job.id, 1, [b"1"])
                    await asyncio.sleep(0.05)
                    await store.finish(claim, b"%d" % job.request["n"])
                    await delivery.release()
                    return
                (result,) = [one async for one in store.results(job.id)]
                if await store.complete(claim, result):
                    note(f"{job.id}\n".encode())
            case Ended():
                pass
    except LeaseLostError:  # another process has taken over: look again later
        await delivery.retry(LEASE_SECONDS)
    else:
        await delivery.ack()


if __name__ == "__main__":
    roles: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {"join": join, "hold": hold, "consume": consume}
    asyncio.run(roles[sys.argv[1]](*sys.argv[2:]))
