"""Results of tasks and jobs: small ones in the job store, large ones in a blob store. Callers need not know which."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from essaim.errors import ResultTooLargeError
from essaim.jobs.ports import TextStore

if TYPE_CHECKING:  # start-up time
    from essaim.jobs.settings import Settings

STORED = b"@"  # no JSON value starts with it


@dataclass(frozen=True)
class Results:
    """Packs results for the job store. `name` must be new for each attempt, so that a late one overwrites nothing.

    `blobs` is a store of its own: clients see none of it among their texts.
    """

    blobs: TextStore
    settings: "Settings"

    async def pack(self, name: str, result: bytes) -> bytes:
        """The value to keep in the job store for this result (JSON). Raises `ResultTooLargeError`."""
        if len(result) <= self.settings.inline_result_bytes:
            return result
        limit = self.settings.max_result_bytes
        if len(result) > limit:
            raise ResultTooLargeError(f"the result has {len(result)} bytes, more than the {limit} allowed")

        await self.blobs.put(name, _once(result), limit=limit)
        return STORED + name.encode()

    async def unpack(self, packed: bytes) -> bytes:
        """The result itself. Raises `TextNotFoundError` if it was deleted."""
        if not packed.startswith(STORED):
            return packed
        name = packed.removeprefix(STORED).decode()
        return await self.blobs.read(name, 0, (await self.blobs.stat(name)).size)

    def open(self, packed: bytes) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The result itself, in pieces: memory stays flat. Raises on entry as `unpack`."""
        if not packed.startswith(STORED):
            return nullcontext(_once(packed))
        return self.blobs.open(packed.removeprefix(STORED).decode())

    async def delete(self, job_id: str) -> None:
        """Delete the large results of a job."""
        while found := await self.blobs.list(f"{job_id}/*"):
            for blob in found:
                await self.blobs.delete(blob.name)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
