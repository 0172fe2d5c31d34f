"""Telling a receiver that a job has ended, again and again until it has heard it.

Nothing is counted: how long to wait until the next try follows from how long it has been tried already.
"""

import logging
import random
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from essaim.errors import CallbackRefusedError
from essaim.jobs.backends import Backends
from essaim.jobs.events import JobEnded, dump, state_event
from essaim.jobs.model import Job
from essaim.jobs.ports import Delivery
from essaim.jobs.settings import Settings
from essaim.telemetry import log, span
from essaim_worker.callbacks import NoAnswerError, call

LONGEST_WAIT = 3600.0  # seconds between two tries
GONE = 410


class Teller:
    """Settles deliveries of `JobEnded`. Errors are those of the backends."""

    def __init__(self, backends: Backends, settings: Settings) -> None:
        self._store = backends.store
        self._settings = settings

    async def tell(self, message: JobEnded, delivery: Delivery) -> None:
        """Call, if the job has ended, and settle the delivery."""
        job = await self._store.get(message.job_id)
        begun = max(message.since, job.ended or message.since)
        age = max(0.0, (datetime.now(UTC) - begun).total_seconds())
        if not job.state.ended:  # whoever wrote this has not written the end yet, or died: then another will
            await delivery.retry(self._wait(age))
        elif job.callback is None:
            await delivery.ack()
        else:
            await self._call(job, job.callback, age, delivery)

    async def _call(self, job: Job, url: str, age: float, delivery: Delivery) -> None:
        about: dict[str, Any] = {"run": job.run, "host": urlsplit(url).hostname}
        event, settings = state_event(job), self._settings
        after: float | None = None
        try:
            with span("callback", **about):
                answer = await call(url, event.get_id(), dump(event), settings.receivers(), settings.callback_keys())
        except CallbackRefusedError as error:
            reason, over = str(error), True
        except NoAnswerError as error:
            reason, over = str(error), False
        else:
            if 200 <= answer.status < 300:
                log("callback.delivered", **about, status=answer.status)
                return await delivery.ack()
            reason, over = f"{about['host']} answers {answer.status}", answer.status == GONE
            after = answer.retry_after
        if over or age >= settings.callback_give_up_seconds:
            log("callback.given_up", level=logging.ERROR, **about, reason=reason)
            await delivery.park(f"the end of the job could not be told: {reason}")
        else:
            wait = self._wait(age, after)
            log("callback.delayed", level=logging.WARNING, **about, reason=reason, seconds=round(wait, 1))
            await delivery.retry(wait)

    def _wait(self, age: float, asked: float | None = None) -> float:
        wanted = max(age / 2, asked or 0.0, self._settings.retry_seconds)
        return min(wanted, LONGEST_WAIT) * random.uniform(1.0, 1.25)  # noqa: S311  # jitter, no secret
