"""Telling others that a job ends: its callback for certain, listeners if they hear it.

Whoever ends a job with a callback publishes that first and then writes the end. A crash between the two leaves a message whose
job has not ended; it waits until somebody ends the job.
"""

from datetime import UTC, datetime

from essaim.jobs.events import JobEnded, to_event
from essaim.jobs.model import Job
from essaim.jobs.ports import JobQueue

SOON = 0.25  # seconds in which the end is written, if nothing goes wrong


async def promise(queue: JobQueue, job: Job) -> None:
    """To be called before the end of a job is written. Calling it twice, or in vain, tells the same end twice."""
    if job.callback is not None:
        ended = JobEnded(job.id, job.run, datetime.now(UTC))
        await queue.publish([to_event(ended, job.release, job.traceparent)], delay=SOON)
