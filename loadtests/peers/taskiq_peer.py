"""FastAPI + taskiq: confirmed publishes to a quorum queue, acknowledged after the work; results by `_id`, which is what
the stand-in for MongoDB can look up."""

from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pymongo import AsyncMongoClient
from shape import BROKER, DATABASE, NAME, QUEUE, Request
from taskiq import AsyncResultBackend
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue, QueueType


class MongoResults(AsyncResultBackend):
    async def startup(self) -> None:
        self.results = AsyncMongoClient(DATABASE)[NAME].results

    async def set_result(self, task_id: str, result: Any) -> None:
        await self.results.replace_one({"_id": task_id}, {"value": result.model_dump()}, upsert=True)

    async def is_result_ready(self, task_id: str) -> bool:
        return await self.results.find_one({"_id": task_id}) is not None

    async def get_result(self, task_id: str, with_logs: bool = False) -> Any:
        return await self.results.find_one({"_id": task_id})


broker = AioPikaBroker(
    BROKER,
    qos=64,
    exchange=Exchange(name=QUEUE),
    task_queues=[Queue(name=QUEUE, type=QueueType.QUORUM)],
    dead_letter_queue=Queue(name=f"{QUEUE}.dead", type=QueueType.QUORUM),
).with_result_backend(MongoResults())


@broker.task
async def nothing(request: dict[str, Any]) -> dict[str, int]:
    return {"tasks": 1}


@asynccontextmanager
async def running(app: FastAPI):
    await broker.startup()
    yield
    await broker.shutdown()


app = FastAPI(lifespan=running)


@app.post("/jobs", status_code=202)
async def submit(request: Request) -> dict[str, str]:
    return {"id": (await nothing.kiq(request.model_dump())).task_id}
