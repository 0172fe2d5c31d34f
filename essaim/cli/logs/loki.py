"""Log lines about a job from Loki, which gets them from a collector (`platform/observability`)."""

import json
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from essaim.cli.client import open_http, reason
from essaim.cli.errors import RefusedError, UnreachableError
from essaim.cli.logs.timeline import OF_WORKERS, LogLine

PAGE = 1000  # lines; Loki itself gives 5000 at most, if nobody says otherwise
OVERLAP = timedelta(seconds=10)  # so much later than others may a line arrive
AHEAD = timedelta(minutes=1)  # so much may another machine's clock be ahead of ours
NUMBERS = frozenset({"task", "attempt", "tasks", "run", "count", "failures", "exit", "running", "seconds", "waited"})
OURS = '{service_namespace="essaim"}'  # essaim.telemetry.otlp says so of all that it sends; a label of Loki, by its defaults


class Loki:
    """Lines about the job and the workers that had it, as they arrive, from `since` on."""

    def __init__(self, http: httpx.AsyncClient, url: str, job: str, since: datetime) -> None:
        self._http = http
        self._url = str(httpx.URL(url).copy_with(userinfo=b""))
        self._job = job
        self._since = since
        self._from = since
        self._workers: set[str] = set()
        self._seen: set[tuple[datetime, str]] = set()

    async def news(self) -> list[LogLine]:
        """The lines since the last call, in time order. Raises `UnreachableError` and `RefusedError`."""
        begin = self._from
        found = [line async for line in self._fresh(f"{OURS} | job={json.dumps(self._job)}", begin)]
        self._workers |= {line.who for line in found if line.event == "task.claimed"}
        if self._workers:
            wanted = f"{OURS} | event={_one_of(OF_WORKERS)} | worker={_one_of(self._workers)}"
            found += [line async for line in self._fresh(wanted, begin)]
        if found:
            self._from = max(begin, max(line.at for line in found) - OVERLAP)
        return sorted(found, key=lambda line: line.at)

    def absence(self) -> str:
        """Why there may be no lines about the job."""
        return f"Loki at {self._url} has no line about it since {self._since:%Y-%m-%d %H:%M} UTC; --since looks further back"

    async def _fresh(self, query: str, begin: datetime) -> AsyncIterator[LogLine]:
        """The lines that are new, page by page."""
        start = _nanoseconds(begin)
        while True:
            page = await self._page(query, start)
            for at, text, fields in page:
                line = _line(at, text, fields)
                key = line.at, json.dumps([text, fields], sort_keys=True)
                if key not in self._seen:
                    self._seen.add(key)
                    yield line
            if len(page) < PAGE:
                return
            last = page[-1][0]
            start = last if last > start else last + 1  # a page full of one moment: go on, or stay here for ever

    async def _page(self, query: str, start: int) -> list[tuple[int, str, dict[str, Any]]]:
        """The lines from then on, in time order: nanoseconds, text, and Loki's labels and metadata."""
        end = _nanoseconds(datetime.now(UTC) + AHEAD)
        asked: dict[str, str | int] = {
            "query": query,
            "start": start,
            "end": end,
            "limit": PAGE,
            "direction": "forward",
        }
        try:
            answer = await self._http.get("loki/api/v1/query_range", params=asked)
        except httpx.TransportError as error:
            raise UnreachableError(self._url, reason(error), "is Loki there? --loki URL says where") from error
        if not answer.is_success:
            said = answer.text.strip().partition("\n")[0][:200]
            raise RefusedError(answer.status_code, f"{self._url} answers {answer.status_code} to {query}: {said}")
        try:
            streams = answer.json()["data"]["result"]
            lines = [
                (int(at), str(text), {**stream["stream"], **(rest[0].get("structuredMetadata", {}) if rest else {})})
                for stream in streams
                for at, text, *rest in stream["values"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RefusedError(answer.status_code, f"{self._url} does not answer as Loki does") from error
        return sorted(lines, key=lambda line: line[0])


def open_loki(url: str) -> httpx.AsyncClient:
    """An HTTP client for the Loki at this URL, which may contain user and password. Raises `CliError` for an invalid URL."""
    return open_http(url, advice="write --loki http://host:port")


def _one_of(names: Collection[str]) -> str:
    """A part of a query: `=~` and a pattern that matches exactly these."""
    pattern = "|".join("".join(c if c.isalnum() or c in "-_" else f"[{c}]" for c in name) for name in sorted(names))
    return f"~{json.dumps(pattern)}"


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


def _line(at: int, text: str, fields: dict[str, Any]) -> LogLine:
    moment = datetime.fromtimestamp(at // 1000 / 1e6, UTC)
    known = {name: _number(value) if name in NUMBERS else value for name, value in fields.items()}
    level = fields.get("severity_text") or str(fields.get("detected_level", "INFO")).upper()
    return LogLine(
        moment, {"time": moment.isoformat(timespec="microseconds"), "level": level, **known, "message": text}
    )


def _number(value: Any) -> Any:
    """Loki stores text only."""
    try:
        return int(value)
    except ValueError:
        try:
            return float(value)
        except ValueError:
            return value
