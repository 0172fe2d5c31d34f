"""A file that replaces the Knative Service on one machine: it has each release's share of the requests.

The proxy of `essaim up` reads it with each request, so a change is in force at once.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

from essaim.errors import UnavailableError
from essaim.rollout.errors import ConflictError
from essaim.rollout.service import JsonObject
from essaim.splitter.split import in_force

NAME = "essaim"
FILE = "service.json"


def revision(release: str) -> str:
    """The name of a release's revision on one machine."""
    return f"{NAME}-{release}"


@dataclass(frozen=True)
class LocalService:
    """Implements the contract of `essaim.rollout.service.Service` over the file at `path`. Processes may share it.

    Beside that contract, `status.addresses` has the URL of each revision, with a tag or without. A split that cannot be
    raises `RolloutRefusedError`. What is written to `status` does not stay.
    """

    path: Path

    async def read(self) -> JsonObject:
        return await asyncio.to_thread(self.read_now)

    async def patch(self, operations: Sequence[JsonObject]) -> JsonObject:
        return await asyncio.to_thread(self._change, lambda service: _patched(service, operations))

    async def open(self, url: str, addresses: Mapping[str, str]) -> JsonObject:
        """Write a new file: `url` is that of the proxy, `addresses` are those of the releases. The first gets all requests."""
        return await asyncio.to_thread(self._change, lambda _: _opened(url, addresses))

    def read_now(self) -> JsonObject:
        """Read the file now. Raises `UnavailableError` if it cannot be read."""
        try:
            found: JsonObject = json.loads(self.path.read_bytes())
            if not _whole(found):
                raise ValueError("it holds no Service")
        except FileNotFoundError:
            raise UnavailableError(f"there is no {self.path}: `essaim up --release NAME` makes it") from None
        except (OSError, ValueError) as error:
            raise UnavailableError(f"{self.path} cannot be read: {error}") from error
        return found

    def _change(self, change: Callable[[JsonObject | None], JsonObject]) -> JsonObject:
        with self._locked():
            before = self.read_now() if self.path.exists() else None
            after = _reconciled(before, change(before))
            if after != before:
                self._write(after)
        return after

    def _write(self, service: JsonObject) -> None:
        """Atomically: readers see the old file or the new one."""
        new = self.path.with_suffix(".new")
        with new.open("w") as file:
            json.dump(service, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _whole(found: Any) -> bool:
    """Another program's file may have this name, too."""
    match found:
        case {"metadata": {"name": str()}, "spec": {"template": {"metadata": {}}}, "status": {"addresses": {}}}:
            return True
    return False


def _patched(service: JsonObject | None, operations: Sequence[JsonObject]) -> JsonObject:
    if service is None:
        raise UnavailableError("there is no Service to be changed: `essaim up --release NAME` makes it")
    try:
        changed: Any = jsonpatch.apply_patch(service, list(operations), in_place=False)
    except (jsonpatch.JsonPatchException, JsonPointerException) as error:
        raise ConflictError(f"the Service has changed, or is not what was thought: {error}") from error
    return {**changed, "status": service["status"]}


def _opened(url: str, addresses: Mapping[str, str]) -> JsonObject:
    revisions = {revision(release): address for release, address in addresses.items()}
    newest, (first, *others) = list(revisions)[-1], addresses
    traffic: list[JsonObject] = [{"revisionName": revision(first), "percent": 100}]
    traffic += [{"revisionName": revision(release), "percent": 0, "tag": release} for release in others]
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": NAME, "annotations": {}},
        "spec": {"template": {"metadata": {"name": newest}}, "traffic": traffic},
        "status": {"url": url, "addresses": revisions, "latestReadyRevisionName": newest},
    }


def _reconciled(before: JsonObject | None, service: JsonObject) -> JsonObject:
    """Adds the status that Knative would: generations counted up, the split in force. Raises `RolloutRefusedError`."""
    counted: JsonObject = before["metadata"] if before else {"resourceVersion": "0", "generation": 0}
    generation = counted["generation"] + (before is None or service["spec"] != before["spec"])
    ready = [{"type": "Ready", "status": "True"}]
    status = {**service["status"], "traffic": in_force(service), "observedGeneration": generation, "conditions": ready}
    metadata = {**service["metadata"], "generation": generation, "resourceVersion": counted["resourceVersion"]}
    after = {**service, "metadata": metadata, "status": status}
    if after != before:
        metadata["resourceVersion"] = str(int(counted["resourceVersion"]) + 1)
    return after
