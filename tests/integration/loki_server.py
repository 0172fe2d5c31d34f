"""What stands for Loki in tests: log records in over OTLP/HTTP, lines out as its HTTP API documents them.

Of LogQL it knows what we ask: a stream selector and filters on structured metadata. ESSAIM_TEST_LOKI_URL names a real one.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.integration.otlp_receiver import Collected

LOKI_URL = os.environ.get("ESSAIM_TEST_LOKI_URL", "")
FILTER = r"""(\w+)(=~?)("(?:[^"\\]|\\.)*")"""
QUERY = re.compile(rf"{{{FILTER}}}(?: \| {FILTER})*")
LONGEST_PAGE = 5000


@dataclass
class LokiServer:
    """`asked` holds every query with its range; answers fail with `failing` where it is a status."""

    collected: Collected = field(default_factory=Collected)
    asked: list[dict[str, str]] = field(default_factory=list)
    failing: int = 0
    categorized: bool = False

    def answer(self, asked: dict[str, str]) -> tuple[int, str]:
        self.asked.append(asked)
        query, limit = asked["query"], int(asked["limit"])
        if self.failing or not QUERY.fullmatch(query) or limit > LONGEST_PAGE or asked["direction"] != "forward":
            return self.failing or 400, "parse error at line 1, col 1: syntax error"
        entries = [entry for entry in self._entries() if int(asked["start"]) <= entry[0] < int(asked["end"])]
        for name, operator, quoted in re.findall(FILTER, query):
            pattern = json.loads(quoted) if operator == "=~" else re.escape(json.loads(quoted))
            entries = [it for it in entries if re.fullmatch(pattern, {**it[2], **it[3]}.get(name, ""))]
        entries = sorted(entries, key=lambda it: it[0])[:limit]
        streams = [self._stream(*entry) for entry in entries]
        data = {"resultType": "streams", "result": streams, "stats": {}}
        return 200, json.dumps({"status": "success", "data": data})

    def _entries(self) -> list[tuple[int, str, dict[str, str], dict[str, str]]]:
        """Nanoseconds, text, labels, structured metadata."""
        return [
            (
                one["time"],
                one["body"],
                {name.replace(".", "_"): str(value) for name, value in one["resource"].items()},
                {
                    **{name.replace(".", "_"): str(value) for name, value in one["attributes"].items()},
                    "severity_text": one["severity"],
                    "trace_id": one["trace"],
                },
            )
            for one in list(self.collected.logs)
        ]

    def _stream(self, at: int, text: str, labels: dict[str, str], metadata: dict[str, str]) -> dict[str, Any]:
        if self.categorized:
            return {"stream": labels, "values": [[str(at), text, {"structuredMetadata": metadata}]]}
        return {"stream": {**labels, **metadata}, "values": [[str(at), text]]}


@contextmanager
def loki_server() -> Iterator[tuple[str, LokiServer]]:
    """Its URL, and what is behind it."""
    server = LokiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/otlp/v1/logs"
            server.collected.take("/v1/logs", self.rfile.read(int(self.headers["content-length"])))
            self._answer(200, "")

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            assert url.path == "/loki/api/v1/query_range"
            self._answer(*server.answer({name: values[0] for name, values in parse_qs(url.query).items()}))

        def _answer(self, status: int, body: str) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", server
        listening.shutdown()
