"""Jobs of mixed size and kind, from a seed, submitted over HTTP by clients that are as stubborn as clients should be."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

KINDS = {
    "one task": 40,
    "many tasks": 16,
    "slow": 6,
    "large result": 6,
    "raises and recovers": 8,
    "rejects": 6,
    "exhausts its attempts": 3,
    "merge fails": 3,
    "cancelled": 12,
}
KEYED = 0.6  # of the submissions have an Idempotency-Key
REPEATED = 0.3  # of those are sent twice although they were answered
PATIENCE_SECONDS = 20.0
PAUSE_SECONDS = 0.2
MAX_ATTEMPTS = 3


@dataclass
class Submission:
    """What a client wants, and what it has heard. A submission without a key uses another journal in each try."""

    number: int
    kind: str
    request: dict[str, Any]
    key: str | None
    repeats: int
    cancel_after: float | None
    journals: list[str] = field(default_factory=list)  # one for each try, or one in all with a key
    accepted: dict[str, str] = field(default_factory=dict)  # journal by the id in an answer
    cancelled: str | None = None  # the state that the cancellation was answered with
    unanswered: int = 0


def submissions(count: int, folder: Path, seed: int) -> Iterator[Submission]:
    """`count` of them; each kind is there if `count` is large enough, since kinds come by turns."""
    dice = random.Random(seed)
    deck = [kind for kind, weight in KINDS.items() for _ in range(weight)]
    dice.shuffle(deck)
    order = [*KINDS, *deck]
    for number in range(count):
        kind = order[number % len(order)]
        request = {"steps": dice.randint(1, 8), "step_seconds": round(dice.uniform(0, 0.03), 4), **_special(kind, dice)}
        key = f"storm-{number}" if dice.random() < KEYED else None
        yield Submission(
            number=number,
            kind=kind,
            request={"journal": str(folder / f"{number}"), **request},
            key=key,
            repeats=1 if key and dice.random() < REPEATED else 0,
            cancel_after=dice.uniform(0, 2) if kind == "cancelled" else None,
        )


def _special(kind: str, dice: random.Random) -> dict[str, Any]:
    match kind:
        case "many tasks":
            return {"tasks": dice.choice([2, 3, 5, 12])}
        case "slow":
            return {"steps": 10, "step_seconds": 0.25}
        case "large result":
            return {"tasks": dice.choice([1, 2]), "padding": 20_000}
        case "raises and recovers":
            return {"raises": dice.randint(1, MAX_ATTEMPTS - 1)}
        case "rejects":
            return {"rejects": True, "tasks": dice.choice([1, 3])}
        case "exhausts its attempts":
            return {"raises": 10**6, "tasks": dice.choice([1, 2])}
        case "merge fails":
            return {"merge_fails": True, "tasks": dice.choice([1, 2])}
        case "cancelled":
            return {"tasks": dice.choice([1, 4]), "step_seconds": 0.1}
        case _:
            return {}


class Client:
    """Sends to one API after the other until one answers. What is refused for now is sent again, as `Retry-After` says."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._turn = 0
        limits = httpx.Limits(max_keepalive_connections=20, keepalive_expiry=2)
        self._http = httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS, limits=limits)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def submit_all(self, wanted: list[Submission], at_once: int) -> None:
        waiting = iter(wanted)

        async def submit_some() -> None:
            for submission in waiting:
                await self.submit(submission)

        async with asyncio.TaskGroup() as clients:
            for _ in range(at_once):
                clients.create_task(submit_some())

    async def submit(self, wanted: Submission) -> None:
        """Until it is accepted, as often as it wants to be, and cancelled if it shall be."""
        for _ in range(1 + wanted.repeats):
            await self._submit_once(wanted)
        if wanted.cancel_after is not None:
            await asyncio.sleep(wanted.cancel_after)
            (job_id,) = wanted.accepted
            answer = await self.ask("DELETE", f"/v1/jobs/{job_id}")
            assert answer.status_code == 200, answer.text
            wanted.cancelled = answer.json()["state"]

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The first answer that is none of a server in trouble."""
        while True:
            with suppress(httpx.TransportError):
                answer = await self.ask_once(method, path, **options)
                if answer.status_code < 500:
                    return answer
            await asyncio.sleep(PAUSE_SECONDS)

    async def ask_once(self, method: str, path: str, **options: Any) -> httpx.Response:
        self._turn += 1
        answer = await self._http.request(method, self._urls[self._turn % len(self._urls)] + path, **options)
        assert answer.status_code not in (500, 501, 502), answer.text
        return answer

    async def _submit_once(self, wanted: Submission) -> None:
        headers = {} if wanted.key is None else {"Idempotency-Key": wanted.key}
        while True:
            if wanted.key is None or not wanted.journals:
                wanted.journals.append(f"{wanted.request['journal']}-{len(wanted.journals)}")
            journal = wanted.journals[-1]
            with suppress(httpx.TransportError):
                request = {**wanted.request, "journal": journal}
                answer = await self.ask_once("POST", "/v1/jobs", json=request, headers=headers)
                if answer.status_code == 202:
                    wanted.accepted[answer.json()["id"]] = journal
                    return
                assert answer.status_code == 503, answer.text
            wanted.unanswered += 1
            await asyncio.sleep(PAUSE_SECONDS)
