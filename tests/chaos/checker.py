"""Reads every record after a storm, and compares it with what a quiet run would have left."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.chaos.submissions import Client, Submission

PROBLEMS = {
    "rejects": "job-error",
    "exhausts its attempts": "attempts-exhausted",
    "merge fails": "merge-failed",
}

BACK_SECONDS = 60.0


@dataclass
class Checker:
    """`check` raises for the first record that is not as it must be; the counts are for the table."""

    client: Client
    states: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    redone: int = 0
    unanswered: int = 0
    twins: int = 0

    async def check(self, submitted: list[Submission]) -> None:
        records = await self._records()
        owner = {journal: one for one in submitted for journal in one.journals}
        found: dict[int, list[dict[str, Any]]] = {}
        for record in records:
            found.setdefault(owner[record["request"]["journal"]].number, []).append(record)
        for one in submitted:
            await self._check(one, found.get(one.number, []))
        await self._check_dead_letters({record["id"]: owner[record["request"]["journal"]] for record in records})

    async def _records(self) -> list[dict[str, Any]]:
        records, cursor = [], ""
        while True:
            page = (await self.client.ask("GET", f"/v1/jobs?limit=200{cursor}")).json()
            for job in page["jobs"]:
                records.append((await self.client.ask("GET", f"/v1/jobs/{job['id']}")).json())
            if page["cursor"] is None:
                return records
            cursor = f"&cursor={page['cursor']}"

    async def _check(self, wanted: Submission, records: list[dict[str, Any]]) -> None:
        ids = {record["id"]: record["request"]["journal"] for record in records}
        assert ids.items() >= wanted.accepted.items(), f"lost: {wanted}"
        assert len(wanted.accepted) == 1, f"doubled: {wanted}"
        assert len(set(ids.values())) == len(ids), f"doubled: {wanted} {ids}"
        assert len(ids) <= 1 + (wanted.unanswered if wanted.key is None else 0), f"doubled: {wanted} {ids}"
        self.unanswered += wanted.unanswered
        self.twins += len(ids) - 1
        for record in records:
            self.states[record["state"]] += 1
            self._check_end(wanted, record)
            journal = Path(record["request"]["journal"])
            lines = [line.split() for line in journal.read_text().splitlines()] if journal.exists() else []
            self._check_steps(wanted, record, lines)
            if record["state"] == "succeeded":
                await self._check_result(record, lines)

    def _check_end(self, wanted: Submission, record: dict[str, Any]) -> None:
        if record["id"] in wanted.accepted and wanted.cancelled is not None:
            assert record["state"] == wanted.cancelled, record
        elif wanted.kind in PROBLEMS:
            assert (record["state"], record["problem"]["type"]) == ("failed", PROBLEMS[wanted.kind]), record
        else:
            assert record["state"] == "succeeded", record

    def _check_steps(self, wanted: Submission, record: dict[str, Any], lines: list[list[str]]) -> None:
        """No attempt starts from what an older one has saved after a newer one had begun."""
        steps = Counter((task, step) for what, task, _, step in (line for line in lines if line[0] == "step"))
        self.redone += steps.total() - len(steps)
        starts: dict[str, list[tuple[int, int, int]]] = {}
        for _, task, attempt, source, step, _ in (line for line in lines if line[0] == "start"):
            starts.setdefault(task, []).append((int(attempt), int(source), int(step)))
        for task, begun in starts.items():
            self.attempts += len(begun)
            assert len({attempt for attempt, _, _ in begun}) == len(begun), f"an attempt ran twice: {record} {task}"
            for (before, *state), (_, source, step) in pairwise(sorted(begun)):
                assert source >= before or state == [source, step], f"a fenced attempt has saved: {record} {task}"
        if record["state"] == "succeeded":
            assert len(steps) == wanted.request.get("tasks", 1) * wanted.request["steps"], record

    async def _check_result(self, record: dict[str, Any], lines: list[list[str]]) -> None:
        """No step is left out or counted twice, and the last attempt of each task is the one whose result is there."""
        request = record["request"]
        tasks, padding = range(request.get("tasks", 1)), request.get("padding", 0)
        result = record["result"]
        if result is None:
            result = json.loads((await self.client.ask("GET", record["links"]["result"])).content)
        assert result["digests"] == [digest(task, request["steps"]) for task in tasks], record
        assert result["padding"] == padding * len(tasks), record
        assert result["attempts"] == [
            max(int(line[2]) for line in lines if line[:2] == ["start", str(task)]) for task in tasks
        ], f"a fenced attempt has finished: {record}"

    async def _check_dead_letters(self, jobs: dict[str, Submission]) -> None:
        """Parked is what has used up its attempts, and nothing else. What another process looks at is back soon."""
        exhausted = {job for job, one in jobs.items() if one.kind == "exhausts its attempts"}
        deadline = time.monotonic() + BACK_SECONDS
        while (parked := await self._parked()) != exhausted and time.monotonic() < deadline:
            await asyncio.sleep(1)  # between two looks
        assert not parked - exhausted, f"parked, and not exhausted: {parked - exhausted}"
        assert not exhausted - parked, f"{len(exhausted - parked)} of {len(exhausted)} lost: {exhausted - parked}"

    async def _parked(self) -> set[str]:
        letters = (await self.client.ask("GET", "/v1/dead-letters?limit=1000")).json()["dead_letters"]
        return {letter["event"]["subject"] for letter in letters}


def digest(task: int, steps: int) -> str:
    """What a task must come to, computed apart."""
    found = ""
    for step in range(steps):
        found = sha256(f"{found} {task} {step}".encode()).hexdigest()
    return found
