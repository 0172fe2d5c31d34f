"""FastAPI + Celery: confirmed publishes to a quorum queue, acknowledged after the work, results in the database."""

from typing import Any

from celery import Celery
from fastapi import FastAPI
from shape import BROKER, DATABASE, NAME, QUEUE, Request

celery = Celery("peer", broker=BROKER, backend=DATABASE)
celery.conf.update(
    broker_transport_options={"confirm_publish": True},
    broker_pool_limit=40,  # one per thread of the API
    mongodb_backend_settings={"database": NAME, "taskmeta_collection": "results"},
    task_acks_late=True,
    task_default_queue=QUEUE,
    task_default_queue_type="quorum",
    task_default_exchange_type="topic",
    worker_prefetch_multiplier=4,
)
app = FastAPI()


@celery.task
def nothing(request: dict[str, Any]) -> dict[str, int]:
    return {"tasks": 1}


@app.post("/jobs", status_code=202)
def submit(request: Request) -> dict[str, str]:
    return {"id": nothing.delay(request.model_dump()).id}
