"""Results of tasks and jobs: small ones in the job store, large ones in the text store, and nobody else knows which."""

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
    """Packs results for the job store. `name` must be new for each attempt, so that a late one overwrites nothing."""

    texts: TextStore
    settings: "Settings"

    async def pack(self, name: str, result: bytes) -> bytes:
        """What to keep in the job store for this result (JSON). Raises `ResultTooLargeError`."""
        if len(result) <= self.settings.inline_result_bytes:
            return result
        limit = self.settings.max_result_bytes
        if len(result) > limit:
            raise ResultTooLargeError(f"the result has {len(result)} bytes, more than the {limit} allowed")

        await self.texts.put(name, _once(result), limit=limit)
        return STORED + name.encode()

    async def unpack(self, packed: bytes) -> bytes:
        """The result itself. Raises `TextNotFoundError` if it was deleted."""
        if not packed.startswith(STORED):
            return packed
        name = packed.removeprefix(STORED).decode()
        return await self.texts.read(name, 0, (await self.texts.stat(name)).size)

    def open(self, packed: bytes) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The result itself, in pieces: memory stays flat. Raises on entry as `unpack`."""
        if not packed.startswith(STORED):
            return nullcontext(_once(packed))
        return self.texts.open(packed.removeprefix(STORED).decode())

    async def delete(self, job_id: str) -> None:
        """Forget the large results of a job."""
        while found := await self.texts.list(f"{job_id}/*"):
            for text in found:
                await self.texts.delete(text.name)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
