"""The first job of a new release: one that must succeed before anybody else's goes there."""

import hashlib
import json
from datetime import datetime

from essaim.rollout.client import JsonObject, Remote
from essaim.rollout.errors import RolloutRefusedError

LOOKED_AT = 50  # jobs of the old release, of which the quickest is copied
SCHEMA_EXAMPLE = "the first example of its request schema"
SMOKE_HINT = "name a file that holds a request with --smoke"


async def choose_smoke_request(site: Remote, new: Remote, old_release: str) -> tuple[object, str]:
    """A request, and where it is from: the quickest job that has succeeded lately, or the example that the release gives.

    Raises `RolloutRefusedError` where there is neither.
    """
    lately: list[JsonObject] = []
    async for job in site.jobs(old_release, "succeeded"):
        lately.append(job)
        if len(lately) == LOOKED_AT:
            break
    if lately:
        quickest = min(lately, key=_seconds)["id"]
        return (await site.job(quickest))["request"], f"a copy of job {quickest}"
    if (request := await example_request(new)) is not None:
        return request, SCHEMA_EXAMPLE
    raise RolloutRefusedError(f"there is no job to try the new release with: {SMOKE_HINT}")


async def example_request(new: Remote) -> object:
    """The first one that the release itself gives; None where it gives none."""
    schema = (await new.get("/openapi.json"))["components"]["schemas"].get("Request", {})
    return next(iter(schema.get("examples", ())), None)


def smoke_key(rollout: str, request: object) -> str:
    """The same request is the same job, whoever takes the rollout up."""
    return f"{rollout}-smoke-{hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:12]}"


def _seconds(job: JsonObject) -> float:
    return (datetime.fromisoformat(job["ended"]) - datetime.fromisoformat(job["created"])).total_seconds()
