"""The `JobEnded` message, from which the callback is sent.

Whoever ends a job with a callback first publishes this message, then writes the end. A crash between the two leaves a message
whose job has not ended; it is delayed until the job ends.
"""

from datetime import UTC, datetime

from essaim.jobs.events import JobEnded, to_event
from essaim.jobs.model import Job
from essaim.jobs.ports import JobQueue

SOON = 0.25  # seconds; normally enough to write the end


async def publish_ended(queue: JobQueue, job: Job) -> None:
    """Call this before writing the end of a job. An extra call repeats the callback with the same id."""
    if job.callback is not None:
        ended = JobEnded(job.id, job.run, datetime.now(UTC))
        await queue.publish([to_event(ended, job.release, job.traceparent)], delay=SOON)
