"""The Loki that ESSAIM_TEST_LOKI_URL names, asked as Grafana does."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.integration.loki_server import LOKI_URL

STEP = 20  # seconds between the points of a plot; then no two of its windows overlap
Plot = dict[tuple[str, ...], dict[float, float]]


class RealLoki:
    """Whatever is no good answer fails the test."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def number(self, query: str, at: int) -> float | None:
        """What a panel with one number shows at that nanosecond."""
        found = await self._ask("query", query=query, time=at)
        assert len(found) <= 1, f"{query}: {found}"
        return float(found[0]["value"][1]) if found else None

    async def plot(self, query: str, begin: int, end: int) -> Plot:
        """The points of each line, by the values of its labels; one point is after the end."""
        found = await self._ask("query_range", query=query, start=begin, end=end + STEP * 10**9, step=f"{STEP}s")
        return {
            tuple(value for _, value in sorted(line["metric"].items())): {
                at: float(value) for at, value in line["values"]
            }
            for line in found
        }

    async def answers(self, query: str, begin: int) -> bool:
        """Whether there is anything from then on, lines or numbers."""
        return bool(await self._ask("query_range", query=query, start=begin, end=time.time_ns() + 10**9, step="15s"))

    async def _ask(self, path: str, **asked: str | int) -> list[Any]:
        answer = await self._http.get(f"/loki/api/v1/{path}", params=asked)
        assert answer.status_code == 200, f"{asked['query']}: {answer.text}"
        return answer.json()["data"].get("result") or []


@asynccontextmanager
async def real_loki() -> AsyncIterator[RealLoki]:
    async with httpx.AsyncClient(base_url=LOKI_URL, trust_env=False, timeout=60) as http:
        yield RealLoki(http)
