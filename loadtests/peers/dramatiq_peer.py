"""FastAPI + dramatiq: confirmed publishes, acknowledged after the work. It brings no results in MongoDB, so here they are."""

from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import ResultBackend, Results
from dramatiq.results.backend import Missing
from fastapi import FastAPI
from pymongo import MongoClient
from shape import BROKER, DATABASE, NAME, QUEUE, Request


class MongoResults(ResultBackend):
    def __init__(self) -> None:
        super().__init__()
        self.results = MongoClient(DATABASE)[NAME].results

    def build_message_key(self, message: Any) -> str:
        return message.message_id

    def _get(self, message_key: str) -> Any:
        found = self.results.find_one({"_id": message_key})
        return found["result"] if found else Missing

    def _store(self, message_key: str, result: Any, ttl: int) -> None:
        self.results.replace_one({"_id": message_key}, {"result": result}, upsert=True)


broker = RabbitmqBroker(url=BROKER, confirm_delivery=True)
broker.add_middleware(Results(backend=MongoResults(), store_results=True))
dramatiq.set_broker(broker)
app = FastAPI()


@dramatiq.actor(queue_name=QUEUE)
def nothing(request: dict[str, Any]) -> dict[str, int]:
    return {"tasks": 1}


@app.post("/jobs", status_code=202)
def submit(request: Request) -> dict[str, str]:
    return {"id": nothing.send(request.model_dump()).message_id}
