"""One job over files of this machine: they become texts for as long as it runs."""

import asyncio
import re
import secrets
from collections.abc import Sequence
from pathlib import PurePath

from essaim.cli.client import Client, JsonObject
from essaim.cli.jobs.commands import outcome
from essaim.cli.jobs.files import File
from essaim.cli.jobs.progress import progress, sending, until_ended
from essaim.cli.jobs.texts import every, remove
from essaim.cli.jobs.upload import upload
from essaim.cli.output import note

UNSAFE = re.compile(r"[^\w .,()+=@-]|^\.")
NAME_CHARACTERS = 100


class Batch:
    """Files under names that no other batch has. `files` is each file by its text's name; `pattern` matches them all."""

    def __init__(self, files: Sequence[File]) -> None:
        self._folder = f"batch-{secrets.token_hex(6)}"
        self.pattern = f"{self._folder}/**"
        self.files = {f"{self._folder}/{number}/{_safe(file.name)}": file for number, file in enumerate(files)}

    async def run(self, client: Client, request: JsonObject, *, private: bool) -> JsonObject:
        """Send the files, run the job, remove the texts. Returns the job with its result, however large.

        When cancelled, a job on a `private` server ends with the server; on another it goes on, and we say so.
        Raises `JobUnsuccessfulError`.
        """
        job: JsonObject | None = None
        try:
            with progress() as bars:
                await upload(client, list(self.files.items()), sending(bars, len(self.files), self._size()))
                job = await client.submit(request)
                ended = await until_ended(client, job["id"], bars)
            outcome(ended)
            ended["result"] = await client.get(f"/v1/jobs/{job['id']}/result")
        except asyncio.CancelledError:
            if job is not None and not private:
                note(f"the job goes on: `essaim watch {job['id']}`; its texts stay: `essaim texts rm '{self.pattern}'`")
            else:
                await self._clean(client, private)
                note("cancelled; nothing is left behind")
            raise
        except BaseException:
            await self._clean(client, private)
            raise
        await self._clean(client, private)
        return ended

    async def _clean(self, client: Client, private: bool) -> None:
        if not private:  # a private server goes with all it has
            await remove(client, [text["name"] for text in await every(client, self.pattern)])

    def _size(self) -> int | None:
        sizes = [file.size for file in self.files.values()]
        return None if None in sizes else sum(size or 0 for size in sizes)


def _safe(name: str) -> str:
    """The file's own name, as far as a text may have it."""
    return UNSAFE.sub("_", PurePath(name).name)[:NAME_CHARACTERS] or "_"
