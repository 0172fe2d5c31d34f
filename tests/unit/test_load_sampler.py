"""What a look at the house counts."""

from typing import Any, cast

from essaim.cli.client import Client
from loadtests.load.sampler import Sampler


class Server:
    """Answers as the API of whichever release has its turn, over one store."""

    def __init__(self, *turns: str) -> None:
        self._turns = iter(turns)

    async def get(self, path: str) -> dict[str, Any]:
        if path == "/v1/workers":
            names = ["v1", "v1", "v2"]
            return {"workers": [{"release": name, "concurrency": 1, "tasks": []} for name in names]}
        return {"release": next(self._turns), "queue": {"ready": 3, "in_flight": 0}}


async def test_a_look_counts_the_workers_of_the_release_that_answered_and_notes_it() -> None:
    sampler = Sampler(cast("Client", Server("v1", "v2", "v1")), None, None)
    assert [(await sampler.look()).workers for _ in range(3)] == [2, 1, 2]
    assert sampler.releases == ["v1", "v2"]
