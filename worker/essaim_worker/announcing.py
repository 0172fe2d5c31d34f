"""A message for each task of a job that has been split, so that any worker can take it."""

from essaim.errors import QueueFullError
from essaim.jobs.backends import Backends
from essaim.jobs.endings import SOON
from essaim.jobs.events import TaskReady, to_event
from essaim.jobs.model import Job, State
from essaim.telemetry import log

OPEN = (State.QUEUED, State.RUNNING)
AT_ONCE = 1000


async def announce(backends: Backends, job: Job) -> int:
    """Publish a message for each task that has not ended; a task announced twice still runs once. Returns how many.

    A full queue takes them with a delay: a queue that is full of jobs to be split would stay full for ever otherwise.
    """
    after, count = -1, 0
    while page := await backends.store.tasks(job.id, states=OPEN, after=after, limit=AT_ONCE):
        ready = [to_event(TaskReady(job.id, task.number), job.release, job.traceparent) for task in page]
        try:
            await backends.queue.publish(ready)
        except QueueFullError:
            await backends.queue.publish(ready, delay=SOON)
        after, count = page[-1].number, count + len(page)
    log("job.announced", tasks=count)
    return count
